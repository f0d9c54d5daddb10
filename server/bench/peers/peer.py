"""The interface that every peer implements, one file each."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import ClassVar

from server.bench.peers.environment import Environment
from server.bench.side import Side
from server.system.processors import processors


@dataclass(frozen=True)
class Setup:
    """What all sides of a comparison are given alike.

    `base` is a directory of safetensors. For a decoder, `deltas` are PEFT directories by name and
    `targets` the ends of the modules that they change, all of one `rank`; for an encoder they are
    native directories of bottlenecks whose size is the rank, without targets. `streams` is the
    greatest number of requests at once and `length` the greatest number of tokens of a sequence;
    `scratch` is a directory for converted files. `quota` is how many processors each side may use,
    if not all.
    """

    base: Path
    dtype: str
    deltas: Mapping[str, Path]
    targets: tuple[str, ...]
    rank: int
    streams: int
    length: int
    scratch: Path
    quota: float | None = None

    @property
    def threads(self) -> int:
        """Threads to compute with: as many as Polydelta would find, given the same quota."""
        found = processors().threads
        return found if self.quota is None else min(found, ceil(self.quota))

    @property
    def encodes(self) -> bool:
        """Whether the base is an encoder."""
        return not self.targets

    @property
    def described(self) -> str:
        """The deltas in words."""
        if self.encodes:
            return f"bottlenecks of size {self.rank} after each layer"
        return f"LoRAs of rank {self.rank} on {', '.join(self.targets)}"


class Peer(ABC):
    """Another way of serving deltas, set up to be at its best on this machine.

    Peers that differ in settings alone share the environment `home`. A peer serves decoders, or
    where it `encodes` encoders.
    """

    home: ClassVar[str]
    requirements: ClassVar[tuple[str, ...]]
    encodes: ClassVar[bool] = False

    def __init__(self, name: str) -> None:
        self.name = name

    def install(self, environment: Environment) -> None:
        """Fill the peer's environment; raises BenchError if a step fails."""
        environment.create()
        self.complete(environment)
        environment.finish()

    def complete(self, environment: Environment) -> None:
        """Do what the requirements alone do not; most peers need nothing."""
        del environment

    @abstractmethod
    def open(self, environment: Environment, setup: Setup) -> AbstractContextManager[Side]:
        """Start the peer with its base and deltas; raises BenchError if it does not start."""
