"""One side of a comparison: something that can be put under a load."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from server.bench.endpoint import Endpoint
from server.bench.load import Load, Run, drive

BASE = "base"
"""The model of requests for the bare base, on every side."""


class Side(ABC):
    """A base and its deltas, ready to answer; `mixes` is false if only its base is measured.

    Once it has `ended` it answers no more.
    """

    def __init__(self, name: str, *, mixes: bool = True) -> None:
        self.name = name
        self.mixes = mixes
        self.ended = False

    @abstractmethod
    def run(self, models: Sequence[str], load: Load, seed: str, done: Callable[[], object]) -> Run:
        """Put a load on it, requests going to `models` in turn; `done` follows each request.

        Raises GivenUp if that takes longer than the load may, BenchError if a request fails.
        """


class Served(Side):
    """A side that answers over HTTP."""

    def __init__(self, name: str, endpoint: Endpoint, *, mixes: bool = True) -> None:
        super().__init__(name, mixes=mixes)
        self._endpoint = endpoint

    def run(self, models: Sequence[str], load: Load, seed: str, done: Callable[[], object]) -> Run:
        """Send every request from this process; what is given up is cancelled."""
        return asyncio.run(drive(self._endpoint, models, load, seed, done))
