"""Any sequence of puts, removals, leases and releases: the registry does what a dict would."""

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from deltas.base import describe
from deltas.delta import DeltaRef
from server.errors import Conflict, PreconditionFailed, TaskNotFound
from server.registry.lease import Lease
from server.registry.registry import Registry
from server.registry.store import Store
from tests.models import tiny_model
from tests.server.registry.prompts import number_of, write_prompt

BASE = describe(tiny_model("llama"), "tiny")
NAMES = st.sampled_from(["a", "b", "c"])
NUMBERS = st.integers(0, 3)


class RegistryMachine(RuleBasedStateMachine):
    leases = Bundle("leases")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        root = Path(self.folder.name)
        self.sources = [write_prompt(root / str(number), BASE, number) for number in range(4)]
        self.registry = Registry(Store(root / "store"), BASE)
        self.registry.on_forgotten = self.forget
        self.numbers: dict[str, int] = {}
        self.open: list[Lease] = []
        self.alive: dict[DeltaRef, int] = {}

    def forget(self, ref: DeltaRef) -> None:
        del self.alive[ref]

    @rule(name=NAMES, number=NUMBERS, new=st.booleans(), stale=st.booleans())
    def put(self, name: str, number: int, new: bool, stale: bool) -> None:
        held = self.numbers.get(name)
        if_match = "0" * 12 if stale else None
        try:
            task, changed = self.registry.put(
                name, self.sources[number], if_match=if_match, if_none_match=new
            )
        except PreconditionFailed:
            assert stale
        except Conflict:
            assert new
            assert held not in (None, number)
        else:
            assert not stale
            assert changed == (held != number)
            self.numbers[name] = number
            self.alive[task.active.ref] = number

    @rule(name=NAMES)
    def remove(self, name: str) -> None:
        try:
            self.registry.remove(name)
        except TaskNotFound:
            assert name not in self.numbers
        self.numbers.pop(name, None)

    @rule(target=leases, name=NAMES)
    def lease(self, name: str) -> Lease | None:
        try:
            lease = self.registry.lease(name)
        except TaskNotFound:
            assert name not in self.numbers
            return None
        assert number_of(self.registry.load(lease.version.ref)) == self.numbers[name]
        self.open.append(lease)
        return lease

    @rule(lease=consumes(leases))
    def release(self, lease: Lease | None) -> None:
        if lease is not None:
            self.open.remove(lease)
            lease.release()
            lease.release()

    @invariant()
    def what_is_needed_is_held_and_nothing_else(self) -> None:
        shown = {task.name: task for task in self.registry.all()}
        assert shown.keys() == self.numbers.keys()
        active = {task.active.ref for task in shown.values()}
        needed = active | {lease.version.ref for lease in self.open}
        assert self.alive.keys() == needed
        for ref in needed:
            assert number_of(self.registry.load(ref)) == self.alive[ref]

    def teardown(self) -> None:
        self.registry.close()
        self.folder.cleanup()


TestRegistry = RegistryMachine.TestCase
TestRegistry.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
