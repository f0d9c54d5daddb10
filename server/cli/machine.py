"""What this machine has, as far as it matters to serving."""

import platform
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch

from deltas.kernels import load_kernels
from deltas.kernels.build import find_compiler
from deltas.kernels.loading import staleness
from server.bench.speeds import product_speed, reading_speed, take_all
from server.model.precision import choose_device, choose_dtype
from server.system.memory import Memory, memory
from server.system.processors import Processors, processors

_PACKAGES = ("polydelta", "torch", "transformers", "tokenizers", "safetensors")
_INSTRUCTIONS = (
    *("avx2", "avx512_f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16"),
    *("neon", "bf16", "sve"),
)


@dataclass(frozen=True)
class Gpu:
    """A CUDA device; memory in gigabytes."""

    name: str
    memory: float
    capability: tuple[int, int]


@dataclass(frozen=True)
class Machine:
    """Versions, processor, memory (bytes), disk (gigabytes), and speeds.

    A server would be told to take up to `kv_cache` and `host_cache` bytes.

    `kernels` names the instruction set that the native kernels were loaded for; `stale` says what
    to do about those that were built from other sources.
    `threads` compute; `products` are in GFLOP/s by precision, `reading` in GB/s.
    `device` and `dtype` are what the settings' "auto" comes to.
    """

    versions: dict[str, str]
    processor: str
    processors: Processors
    threads: int
    instructions: tuple[str, ...]
    memory: Memory
    kv_cache: int
    host_cache: int
    free_disk: float
    compiler: str | None
    kernels: str | None
    stale: str | None
    gpus: tuple[Gpu, ...]
    device: str
    dtype: str
    products: dict[str, float]
    reading: float


def inspect_machine(cache: Path, threads: int | None, kv_cache: int, host_cache: int) -> Machine:
    """Look at this machine and measure it, by so many threads or as many as suit it.

    `cache` is on the disk in question; the others are what a server would be told, in bytes.
    """
    found = processors()
    threads = threads or found.threads
    capabilities = torch.cpu.get_capabilities()
    device = choose_device("auto")
    versions = {name: version(name) for name in _PACKAGES}
    # As in an engine: the thread that computes says how many compute with it.
    with ThreadPoolExecutor(1, initializer=take_all, initargs=(threads,)) as computing:
        products = {
            _name(kind): computing.submit(product_speed, kind).result()
            for kind in (torch.float32, torch.bfloat16)
        }
        reading = computing.submit(reading_speed).result()
    return Machine(
        versions={"python": platform.python_version()} | versions,
        processor=str(capabilities.get("cpu_name") or platform.machine()),
        processors=found,
        threads=threads,
        instructions=tuple(name for name in _INSTRUCTIONS if capabilities.get(name)),
        memory=memory(),
        kv_cache=kv_cache,
        host_cache=host_cache,
        free_disk=shutil.disk_usage(_existing(cache)).free / 1e9,
        compiler=find_compiler(),
        kernels=_kernels(device),
        stale=staleness(),
        gpus=tuple(_gpu(index) for index in range(torch.cuda.device_count())),
        device=device.type,
        dtype=_name(choose_dtype("auto", device)),
        products=products,
        reading=reading,
    )


def _kernels(device: torch.device) -> str | None:
    kernels = load_kernels(choose_dtype("auto", device), device.type)
    return None if kernels is None else kernels.variant


def _existing(path: Path) -> Path:
    return next(place for place in (path.absolute(), *path.absolute().parents) if place.exists())


def _gpu(index: int) -> Gpu:
    properties = torch.cuda.get_device_properties(index)
    capability = torch.cuda.get_device_capability(index)
    return Gpu(properties.name, properties.total_memory / 1e9, capability)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
