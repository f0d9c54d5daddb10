"""One lock per name, for as long as someone wants it."""

from collections import Counter
from collections.abc import Generator, Hashable
from contextlib import contextmanager
from threading import Lock


class KeyedLock:
    """Lets one thread at a time work on each name."""

    def __init__(self) -> None:
        self._guard = Lock()
        self._locks: dict[Hashable, Lock] = {}
        self._wanted = Counter[Hashable]()

    @contextmanager
    def hold(self, name: Hashable) -> Generator[None]:
        """Hold a name's lock, waiting for it if need be."""
        with self._guard:
            self._wanted[name] += 1
            lock = self._locks.setdefault(name, Lock())
        try:
            with lock:
                yield
        finally:
            with self._guard:
                self._wanted[name] -= 1
                if not self._wanted[name]:
                    del self._wanted[name], self._locks[name]
