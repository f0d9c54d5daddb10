"""Quotas: room in the store that is taken and given back."""

from collections.abc import Callable
from threading import Lock

from server.errors import InsufficientStorage

_GIB = 1 << 30


def _nothing(_: int) -> None:
    pass


class Quota:
    """So many bytes, of which everybody takes what they write; thread-safe.

    `make_room` is asked to have some given back where there are too few.
    """

    def __init__(self, limit: int, taken: int = 0) -> None:
        self.make_room: Callable[[int], None] = _nothing
        self._limit = limit
        self._taken = taken
        self._lock = Lock()

    def take(self, size: int) -> None:
        """Take some bytes, or none and raise InsufficientStorage where there are fewer."""
        if self._took(size):
            return
        self.make_room(size)
        if not self._took(size):
            raise InsufficientStorage(
                f"The store is full: deltas may take {self._limit / _GIB:.3g} GiB of disk. Remove "
                "a task (polydelta task rm NAME), or have the operator raise --store-gb or keep "
                "fewer versions (--keep-versions)."
            )

    def give_back(self, size: int) -> None:
        """Give back what was taken."""
        with self._lock:
            self._taken -= size

    def has(self, size: int) -> bool:
        """Whether so much could be taken."""
        with self._lock:
            return self._taken + size <= self._limit

    def _took(self, size: int) -> bool:
        with self._lock:
            fits = self._taken + size <= self._limit
            self._taken += size if fits else 0
            return fits
