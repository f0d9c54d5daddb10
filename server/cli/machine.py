"""What this machine has, as far as it matters to serving."""

import os
import platform
import shutil
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch

from deltas.kernels import load_kernels
from deltas.kernels.build import find_compiler
from server.bench.speeds import product_speed, reading_speed
from server.model.precision import choose_device, choose_dtype

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
    """Versions, processor, memory and disk (gigabytes), and speeds.

    `kernels` names the instruction set that the native kernels were loaded for.
    `cores` are those that the scheduler and the control group leave to this process, `threads`
    those that Torch computes with; `products` are in GFLOP/s by precision, `reading` in GB/s.
    `device` and `dtype` are what the settings' "auto" comes to.
    """

    versions: dict[str, str]
    processor: str
    cores: float
    threads: int
    instructions: tuple[str, ...]
    memory: float
    free_memory: float
    free_disk: float
    compiler: str | None
    kernels: str | None
    gpus: tuple[Gpu, ...]
    device: str
    dtype: str
    products: dict[str, float]
    reading: float


def inspect_machine(cache: Path) -> Machine:
    """Look at this machine and measure it; `cache` is on the disk in question."""
    capabilities = torch.cpu.get_capabilities()
    device = choose_device("auto")
    versions = {name: version(name) for name in _PACKAGES}
    return Machine(
        versions={"python": platform.python_version()} | versions,
        processor=str(capabilities.get("cpu_name") or platform.machine()),
        cores=_usable_cores(),
        threads=torch.get_num_threads(),
        instructions=tuple(name for name in _INSTRUCTIONS if capabilities.get(name)),
        memory=min(_meminfo("MemTotal"), _memory_limit()),
        free_memory=min(_meminfo("MemAvailable"), _memory_limit()),
        free_disk=shutil.disk_usage(_existing(cache)).free / 1e9,
        compiler=find_compiler(),
        kernels=_kernels(device),
        gpus=tuple(_gpu(index) for index in range(torch.cuda.device_count())),
        device=device.type,
        dtype=_name(choose_dtype("auto", device)),
        products={_name(kind): product_speed(kind) for kind in (torch.float32, torch.bfloat16)},
        reading=reading_speed(),
    )


def _kernels(device: torch.device) -> str | None:
    kernels = load_kernels(choose_dtype("auto", device), device.type)
    return None if kernels is None else kernels.variant


def _usable_cores() -> float:
    allowed = len(os.sched_getaffinity(0))
    quota, _, period = _control("cpu.max").partition(" ")
    return min(allowed, int(quota) / int(period)) if quota.isdigit() else allowed


def _memory_limit() -> float:
    limit = _control("memory.max")
    return int(limit) / 1e9 if limit.isdigit() else float("inf")


def _control(name: str) -> str:
    file = Path("/sys/fs/cgroup") / name
    return file.read_text().strip() if file.is_file() else ""


def _meminfo(key: str) -> float:
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name == key:
            return int(rest.split()[0]) * 1024 / 1e9
    return float("nan")


def _existing(path: Path) -> Path:
    return next(place for place in (path.absolute(), *path.absolute().parents) if place.exists())


def _gpu(index: int) -> Gpu:
    properties = torch.cuda.get_device_properties(index)
    capability = torch.cuda.get_device_capability(index)
    return Gpu(properties.name, properties.total_memory / 1e9, capability)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
