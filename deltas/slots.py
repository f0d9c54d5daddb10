"""The slot table: which delta is in which slot of the device, in integers alone."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

from deltas.delta import DeltaRef
from deltas.segments import BASE_SLOT


@dataclass
class SlotTable:
    """Slots 1…capacity, least recently used first; slot 0 is the bare base and never listed.

    A pinned slot is never given away.
    """

    capacity: int
    _slots: OrderedDict[DeltaRef, int] = field(default_factory=OrderedDict[DeltaRef, int])
    _pins: dict[DeltaRef, int] = field(default_factory=dict[DeltaRef, int])

    @property
    def available(self) -> bool:
        """Whether a delta that is not resident could have a slot."""
        return len(self._pins) < self.capacity

    def __len__(self) -> int:
        return len(self._slots)

    def __iter__(self) -> Iterator[DeltaRef]:
        return iter(self._slots)

    def find(self, ref: DeltaRef) -> int | None:
        """The slot that a delta is in."""
        return self._slots.get(ref)

    def claim(self, ref: DeltaRef) -> tuple[int, DeltaRef | None] | None:
        """Give a delta a slot, evicting the least recently used one that nothing pins.

        Returns the slot and the evicted delta, or None if every slot is pinned.
        """
        if len(self._slots) < self.capacity:
            taken = set(self._slots.values())
            slot = next(
                slot for slot in range(BASE_SLOT + 1, self.capacity + 1) if slot not in taken
            )
            self._slots[ref] = slot
            return slot, None
        evicted = next((old for old in self._slots if not self._pins.get(old)), None)
        if evicted is None:
            return None
        slot = self._slots.pop(evicted)
        self._slots[ref] = slot
        return slot, evicted

    def pin(self, ref: DeltaRef) -> None:
        """Keep a resident delta where it is, and mark it as used last."""
        self._slots.move_to_end(ref)
        self._pins[ref] = self._pins.get(ref, 0) + 1

    def unpin(self, ref: DeltaRef) -> None:
        """Undo one pin."""
        count = self._pins.pop(ref) - 1
        if count:
            self._pins[ref] = count

    def pinned(self, ref: DeltaRef) -> bool:
        """Whether a delta has a pin."""
        return ref in self._pins

    def drop(self, ref: DeltaRef) -> int | None:
        """Free a delta's slot and return it, if it has one and no pin."""
        return None if self.pinned(ref) else self._slots.pop(ref, None)
