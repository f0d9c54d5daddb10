"""Leases: pins on one version of a task."""

from collections.abc import Callable
from dataclasses import dataclass, field

from server.registry.version import Version


@dataclass(eq=False)
class Lease:
    """Keeps one version alive, whatever becomes of its task, until released.

    Releasing again does nothing.
    """

    task: str
    version: Version
    _end: Callable[["Lease"], None] = field(repr=False)

    def release(self) -> None:
        """Give the version back."""
        self._end(self)
