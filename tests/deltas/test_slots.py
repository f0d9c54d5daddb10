"""The slot table against a plain model of it, under random use."""

from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.strategies import integers

from deltas.delta import DeltaRef
from deltas.segments import BASE_SLOT
from deltas.slots import SlotTable

CAPACITY = 3
REFS = [DeltaRef(f"task-{index}", f"{index:064x}") for index in range(6)]
ref = integers(0, len(REFS) - 1).map(REFS.__getitem__)


class Slots(RuleBasedStateMachine):
    """Uses deltas as a scheduler does: claim, pin, unpin, drop."""

    def __init__(self) -> None:
        super().__init__()
        self.table = SlotTable(CAPACITY)
        self.order: list[DeltaRef] = []
        self.pins: list[DeltaRef] = []

    @rule(ref=ref)
    def claim(self, ref: DeltaRef) -> None:
        if ref in self.order:
            return
        available = self.table.available
        claimed = self.table.claim(ref)
        assert (claimed is not None) == available
        unpinned = [each for each in self.order if each not in self.pins]
        if claimed is None:
            assert not unpinned
            assert len(self.order) == CAPACITY
            return
        # The one used longest ago of those that nothing pins makes room, if one must.
        evicted = unpinned[0] if len(self.order) == CAPACITY else None
        assert claimed[1] == evicted
        self.order = [each for each in self.order if each != evicted] + [ref]

    @precondition(lambda self: self.order)
    @rule(number=integers(0, CAPACITY - 1))
    def pin(self, number: int) -> None:
        ref = self.order.pop(number % len(self.order))
        self.order.append(ref)
        self.pins.append(ref)
        self.table.pin(ref)

    @precondition(lambda self: self.pins)
    @rule(number=integers(0, 100))
    def unpin(self, number: int) -> None:
        self.table.unpin(self.pins.pop(number % len(self.pins)))

    @rule(ref=ref)
    def drop(self, ref: DeltaRef) -> None:
        slot = self.table.find(ref)
        dropped = self.table.drop(ref)
        assert dropped == (None if ref in self.pins else slot)
        if dropped is not None:
            self.order.remove(ref)

    @invariant()
    def slots_are_held_by_one_delta_each(self) -> None:
        found = {ref: self.table.find(ref) for ref in REFS}
        held = {ref: slot for ref, slot in found.items() if slot is not None}
        assert held.keys() == set(self.order)
        assert len(set(held.values())) == len(held)
        assert set(held.values()) <= set(range(BASE_SLOT + 1, CAPACITY + 1))
        assert {ref for ref in REFS if self.table.pinned(ref)} == set(self.pins)


Slots.TestCase.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestSlots = Slots.TestCase
