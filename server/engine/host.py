"""The host cache: deltas read from disk that wait in memory for a slot."""

from collections import OrderedDict
from collections.abc import Iterator

from deltas.delta import Delta, DeltaRef


class HostCache:
    """Keeps the most recently used deltas within a budget of bytes, the newest in any case."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._bytes = 0
        self._deltas: OrderedDict[DeltaRef, Delta] = OrderedDict()

    @property
    def room(self) -> int:
        """How many more would push none out, were they of the size that these have on average."""
        if not self._deltas:
            return self._budget
        return (self._budget - self._bytes) * len(self._deltas) // max(1, self._bytes)

    @property
    def full(self) -> bool:
        """Whether another would push one out."""
        return self.room <= 0

    def __len__(self) -> int:
        return len(self._deltas)

    def __contains__(self, ref: DeltaRef) -> bool:
        return ref in self._deltas

    def newest(self) -> Iterator[DeltaRef]:
        """The deltas, the most recently used one first."""
        return reversed(self._deltas)

    def get(self, ref: DeltaRef) -> Delta | None:
        """Return a delta and mark it as used last."""
        if ref in self._deltas:
            self._deltas.move_to_end(ref)
        return self._deltas.get(ref)

    def add(self, ref: DeltaRef, delta: Delta) -> None:
        """Keep a delta, which pushes out those used longest ago."""
        self.discard(ref)
        self._deltas[ref] = delta
        self._bytes += delta.bytes
        while self._bytes > self._budget and len(self._deltas) > 1:
            self.discard(next(iter(self._deltas)))

    def discard(self, ref: DeltaRef) -> None:
        """Drop a delta, if it is there."""
        dropped = self._deltas.pop(ref, None)
        self._bytes -= dropped.bytes if dropped else 0
