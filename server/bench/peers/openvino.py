"""OpenVINO GenAI: grouped by adapter, in a process of its own."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from server.bench.peers.conversion import convert
from server.bench.peers.environment import Environment
from server.bench.peers.peer import Peer, Setup
from server.bench.peers.program import program
from server.bench.side import Side

_EXPORT = Path(__file__).parents[1] / "runners" / "openvino_export.py"
_WEIGHTS = "adapter_model.safetensors"
_PRECISIONS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}


class OpenVino(Peer):
    """Its continuous batching, which applies one adapter to a whole batch."""

    home = "openvino"
    requirements = (
        "openvino==2026.4.1",
        "openvino-genai==2026.4.1.0",
        "openvino-tokenizers==2026.4.1.0",
        "optimum-intel==2.2.0",
        "torch==2.13.0",
    )

    def complete(self, environment: Environment) -> None:
        """Take away what optimum-intel asks for and language models do not need."""
        # Built against a CUDA Torch on the default index: beside a CPU build it breaks the export.
        environment.pip("uninstall", "--yes", "torchvision")

    @contextmanager
    def open(self, environment: Environment, setup: Setup) -> Generator[Side]:
        """Export the base, and load it twice: once plain and once with every adapter."""
        folder = setup.scratch / self.name
        convert([str(environment.python), str(_EXPORT), str(setup.base), str(folder)])
        settings = {
            "base": str(folder),
            "precision": _PRECISIONS[setup.dtype],
            "streams": setup.streams,
            "deltas": {name: str(directory / _WEIGHTS) for name, directory in setup.deltas.items()},
        }
        python = environment.python
        with program(self.name, python, "openvino_groups", settings, setup.quota) as side:
            yield side
