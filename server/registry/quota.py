"""Quotas: room in the store that is taken and given back."""

from threading import Lock

from server.errors import InsufficientStorage

_GIB = 1 << 30


class Quota:
    """So many bytes, of which everybody takes what they write; thread-safe."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken = 0
        self._lock = Lock()

    def take(self, size: int) -> None:
        """Take some bytes, or none and raise InsufficientStorage where there are fewer."""
        with self._lock:
            if self._taken + size > self._limit:
                raise InsufficientStorage(
                    f"The store is full: deltas may take {self._limit / _GIB:.3g} GiB of disk. "
                    "Remove a task (polydelta task rm NAME), or have the operator raise --store-gb."
                )
            self._taken += size

    def give_back(self, size: int) -> None:
        """Give back what was taken."""
        with self._lock:
            self._taken -= size
