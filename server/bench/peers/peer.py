"""The interface that every peer implements, one file each."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from server.bench.peers.environment import Environment
from server.bench.side import Side


@dataclass(frozen=True)
class Setup:
    """What all sides of a comparison are given alike.

    `base` is a directory of safetensors and `deltas` are PEFT directories by name; `targets` are
    the ends of the modules that the deltas change, all of one `rank`. `streams` is the greatest
    number of requests at once and `length` the greatest number of tokens of a sequence; `scratch`
    is a directory for converted files.
    """

    base: Path
    dtype: str
    deltas: Mapping[str, Path]
    targets: tuple[str, ...]
    rank: int
    streams: int
    length: int
    scratch: Path


class Peer(ABC):
    """Another way of serving deltas, set up to be at its best on this machine.

    Peers that differ in settings alone share the environment `home`.
    """

    home: ClassVar[str]
    requirements: ClassVar[tuple[str, ...]]

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
