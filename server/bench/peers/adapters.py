"""AdapterHub's library on encoders, in a process of its own."""

from contextlib import AbstractContextManager

from server.bench.peers.environment import Environment
from server.bench.peers.peer import Peer, Setup
from server.bench.peers.program import program
from server.bench.side import Side


class Adapters(Peer):
    """Batches of as many texts as there are streams, split among adapters by BatchSplit.

    The bare base is a plain Transformers encoder on batches of the same size.
    """

    home = "adapters"
    requirements = ("torch==2.13.0", "adapters==1.3.0", "safetensors==0.8.0")
    encodes = True

    def open(self, environment: Environment, setup: Setup) -> AbstractContextManager[Side]:
        """Load the base twice, once plain and once with an adapter for each bottleneck."""
        settings = {
            "base": str(setup.base),
            "dtype": setup.dtype,
            "size": setup.rank,
            "deltas": {name: str(directory) for name, directory in setup.deltas.items()},
        }
        return program(self.name, environment.python, "adapterhub_batches", settings, setup.quota)
