"""Leases: pins on one version of a task."""

from collections.abc import Callable
from dataclasses import dataclass, field

from server.registry.names import TaskName
from server.registry.traffic import Traffic
from server.registry.version import Version


@dataclass(eq=False)
class Lease:
    """Keeps one version alive, whatever becomes of its task, until released.

    `traffic` is what the version was chosen by, if it was. Releasing again does nothing.
    """

    task: TaskName
    version: Version
    _end: Callable[["Lease"], None] = field(repr=False)
    traffic: Traffic | None = None

    @property
    def shadowed(self) -> bool:
        """Whether another version is to answer the same unseen."""
        return self.traffic is not None and self.traffic.shadow not in (None, self.version.number)

    def release(self) -> None:
        """Give the version back."""
        self._end(self)
