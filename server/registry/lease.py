"""Leases: pins on one version of a task."""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

from server.registry.version import Version


@dataclass(eq=False)
class Lease:
    """Keeps one version alive, whatever becomes of its task, until released.

    Releasing again does nothing; leaving it as a context manager releases it.
    """

    task: str
    version: Version
    _end: Callable[["Lease"], None] = field(repr=False)

    def release(self) -> None:
        """Give the version back."""
        self._end(self)

    def __enter__(self) -> "Lease":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()
