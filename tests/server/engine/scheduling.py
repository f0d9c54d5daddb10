"""Schedulers without tensors: sequences of tasks whose deltas come when a test says so."""

import torch
from hypothesis.strategies import sampled_from, tuples

from deltas.delta import DeltaRef, PromptStyle, TaskType
from deltas.kinds import Extent
from deltas.slots import SlotTable
from server.engine.residency import Residency
from server.engine.scheduler import Scheduler
from server.engine.sequence import Sequence
from server.errors import DeltaUnavailable
from server.model.sampling import Sampling
from server.registry.version import Version

ROWS, SEQUENCES, SLOTS, BLOCKS, BLOCK = 11, 5, 2, 8, 4
CONTEXT = BLOCKS * BLOCK
EXTENTS = (Extent(), Extent(rows=3), Extent(cached=5, shift=5))
TASKS = ("base", "broken", *(f"task-{index}" for index in range(5)))
PARTIES = tuples(sampled_from(TASKS[2:6]), sampled_from("abc"))
# Beginnings that part ways in the second block.
TEXTS = [9] * CONTEXT, [9] * 6 + [8] * CONTEXT


class Slots(Residency):
    """Residency without tensors: what is read arrives when the test says so."""

    def __init__(self) -> None:
        self.table = SlotTable(SLOTS)
        self.read: set[DeltaRef] = set()
        self.asked: set[DeltaRef] = set()

    def acquire(self, ref: DeltaRef) -> int | None:
        if ref.task == "broken":
            raise DeltaUnavailable("broken")
        if self.table.find(ref) is None:
            if ref not in self.read:
                self.asked.add(ref)
                return None
            if self.table.claim(ref) is None:
                return None
            self.read.discard(ref)
        self.table.pin(ref)
        return self.table.find(ref)

    def pin(self, ref: DeltaRef) -> None:
        self.table.pin(ref)

    def release(self, ref: DeltaRef) -> None:
        self.table.unpin(ref)

    @property
    def full(self) -> bool:
        return not self.table.available

    def loading(self, ref: DeltaRef) -> bool:
        return ref in self.asked

    def settle(self) -> None:
        pass

    def arrive(self) -> None:
        self.read |= self.asked
        self.asked.clear()


def sequence(number: int, task: str, prompt: int, length: int, salt: str = "") -> Sequence:
    """A sequence of a task whose delta adds an extent of its own."""
    index = TASKS.index(task)
    ref = DeltaRef(task, f"{index:064x}" if index else "")
    extent = EXTENTS[index % len(EXTENTS)] if index else Extent()
    version = Version(ref, TaskType.GENERATE, prompt=PromptStyle.TEXT, extent=extent)
    sampling = Sampling(max_tokens=length)
    tokens = TEXTS[number % 2][:prompt]
    return Sequence((task, number), version, tokens, sampling, True, torch.Generator(), salt=salt)


def running(scheduler: Scheduler) -> list[Sequence]:
    return [*scheduler.running, *scheduler.background.running]


def compute(scheduler: Scheduler, *new: Sequence) -> None:
    """Take sequences in and do a step, after which those without rows to compute get a token."""
    for one in new:
        scheduler.add(one)
    for one in scheduler.schedule():
        one.sequence.computed += one.rows
        scheduler.publish(one.sequence)
        if not one.sequence.pending:
            one.sequence.tokens.append(9)


class Everywhere(Slots):
    """Every delta is on the device."""

    def acquire(self, ref: DeltaRef) -> int | None:
        return 1

    def pin(self, ref: DeltaRef) -> None:
        pass

    def release(self, ref: DeltaRef) -> None:
        pass


def of_party(number: int, task: str, caller: str) -> Sequence:
    new = sequence(number, task, 1, 9)
    new.caller = caller
    return new
