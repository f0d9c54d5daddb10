"""Plain Transformers with PEFT: static batches, in a process of its own."""

from contextlib import AbstractContextManager

from server.bench.peers.environment import Environment
from server.bench.peers.peer import Peer, Setup
from server.bench.peers.program import program
from server.bench.side import Side


class Transformers(Peer):
    """`generate` on as many prompts as there are streams, with PEFT's `adapter_names`.

    The bare base is the unwrapped model, which is as fast as one with a merged delta.
    """

    home = "transformers"
    requirements = ("torch==2.13.0", "transformers==5.23.0", "peft==0.21.2")

    def open(self, environment: Environment, setup: Setup) -> AbstractContextManager[Side]:
        """Load the base twice, once plain and once wrapped with every delta."""
        settings = {
            "base": str(setup.base),
            "dtype": setup.dtype,
            "deltas": {name: str(directory) for name, directory in setup.deltas.items()},
        }
        return program(self.name, environment.python, "peft_batches", settings, setup.quota)
