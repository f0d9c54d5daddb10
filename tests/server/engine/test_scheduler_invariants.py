"""The scheduler in pure integers: under random use nothing leaks, is shared or waits for ever."""

from collections import Counter
from copy import deepcopy
from itertools import pairwise
from typing import TypeAlias

from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.strategies import booleans, integers, sampled_from

from deltas.segments import BASE_SLOT
from server.engine.blocks import BlockPool
from server.engine.prefix_cache import PrefixCache
from server.engine.scheduler import Scheduled, Scheduler
from server.engine.sequence import Sequence
from tests.server.engine.scheduling import (
    BLOCK,
    BLOCKS,
    CONTEXT,
    ROWS,
    SEQUENCES,
    TASKS,
    Slots,
    running,
    sequence,
)

PROMPTS = integers(1, CONTEXT // 2)
LENGTHS = integers(1, CONTEXT // 2)
SALTS = ("", "salt")

Row: TypeAlias = tuple[str, str, int, tuple[int, ...]]
"""All that a row's keys and values depend on: version, salt, place and the tokens so far."""


def waiting(scheduler: Scheduler) -> list[Sequence]:
    return [*scheduler.waiting, *scheduler.background.waiting]


def place(sequence: Sequence, at: int) -> int:
    """Where a sequence's row is in the cache."""
    return sequence.blocks[at // BLOCK] * BLOCK + at % BLOCK


def row(sequence: Sequence, at: int) -> Row:
    tokens = sequence.tokens[: max(0, at + 1 - sequence.extent.cached)]
    return sequence.version.ref.digest, sequence.salt, at, tuple(tokens)


class Machine(RuleBasedStateMachine):
    """Adds, aborts, computes and fails sequences in any order; computing is writing down."""

    shares = True

    def __init__(self) -> None:
        super().__init__()
        self.deltas = Slots()
        self.pool = BlockPool(BLOCKS, BLOCK)
        prefixes = PrefixCache(self.pool) if self.shares else None
        self.scheduler = Scheduler(self.deltas, self.pool, ROWS, SEQUENCES, prefixes)
        self.cache: dict[int, Row | None] = {}
        self.added = 0
        self.open: list[Sequence] = []
        self.doomed: set[Sequence] = set()

    @rule(
        task=sampled_from(TASKS),
        prompt=PROMPTS,
        length=LENGTHS,
        salt=sampled_from(SALTS),
        background=booleans(),
    )
    def add(self, task: str, prompt: int, length: int, salt: str, *, background: bool) -> None:
        self.added += 1
        new = sequence(self.added, task, prompt, length, salt)
        new.background = background
        if new.cache_length(new.pending) < CONTEXT:
            self.open.append(new)
            self.scheduler.add(new)

    @precondition(lambda self: self.open)
    @rule(number=integers(0, 100))
    def abort(self, number: int) -> None:
        self.scheduler.end(self.open.pop(number % len(self.open)))

    @precondition(lambda self: self.open)
    @rule(number=integers(0, 100))
    def doom(self, number: int) -> None:
        """Let a sequence's next rows come out wrong."""
        self.doomed.add(self.open[number % len(self.open)])

    @rule()
    def arrive(self) -> None:
        self.deltas.arrive()

    @rule(steps=integers(1, 8))
    def compute(self, steps: int) -> None:
        for _ in range(steps):
            self.step()

    def step(self) -> None:
        scheduled = self.scheduler.schedule()
        self.check(scheduled)
        for failed, _ in self.scheduler.take_failed():
            assert failed.version.ref.task == "broken"
            self.open.remove(failed)
        for one in scheduled:
            self.write(one)
        for one in scheduled:
            if one.sequence in self.doomed:
                self.open.remove(one.sequence)
                self.scheduler.disown(one.sequence)
                self.scheduler.end(one.sequence)
                continue
            self.scheduler.publish(one.sequence)
            if not one.sequence.pending:
                self.grow(one.sequence)

    def write(self, one: Scheduled) -> None:
        """Compute rows as the runner would: in place, reading all that are before them."""
        sequence = one.sequence
        start = sequence.cache_length(0) if sequence.computed else 0
        for at in range(start):
            assert self.cache[place(sequence, at)] == row(sequence, at)
        sequence.computed += one.rows
        wrong = sequence in self.doomed
        for at in range(start, sequence.cache_length(0)):
            self.cache[place(sequence, at)] = None if wrong else row(sequence, at)

    def grow(self, sequence: Sequence) -> None:
        sequence.tokens.append(9)
        full = sequence.cache_length(sequence.pending) >= CONTEXT
        if full or sequence.generated >= sequence.sampling.max_tokens:
            self.open.remove(sequence)
            self.scheduler.end(sequence)

    def check(self, scheduled: list[Scheduled]) -> None:
        assert sum(one.rows for one in scheduled) <= ROWS
        slots = [one.sequence.slot for one in scheduled]
        assert None not in slots
        assert all(first <= second for first, second in pairwise(slots))
        behind = sum(one.rows for one in scheduled if one.sequence.background)
        rows = sum(one.rows for one in scheduled) - behind
        assert not rows or behind <= rows
        for one in scheduled:
            assert 0 < one.rows <= one.sequence.pending
            assert len(one.sequence.blocks) * BLOCK >= one.sequence.cache_length(one.rows)

    @invariant()
    def every_block_is_in_one_place(self) -> None:
        held = {block for one in running(self.scheduler) for block in one.blocks}
        free = deepcopy(self.pool).take(self.pool.free)
        assert sorted([*held, *free]) == list(range(BLOCKS))
        assert not any(one.blocks or one.computed for one in waiting(self.scheduler))

    @invariant()
    def every_sequence_is_in_one_place(self) -> None:
        held = [*running(self.scheduler), *waiting(self.scheduler)]
        assert Counter(map(id, held)) == Counter(map(id, self.open))
        assert len(running(self.scheduler)) <= SEQUENCES

    @invariant()
    def running_sequences_pin_their_slots(self) -> None:
        pins = Counter(one.version.ref for one in running(self.scheduler) if not one.is_base)
        for one in running(self.scheduler):
            ref = one.version.ref
            assert one.slot == (BASE_SLOT if one.is_base else self.deltas.table.find(ref))
        for one in self.open:
            assert self.deltas.table.pinned(one.version.ref) == bool(pins[one.version.ref])

    def teardown(self) -> None:
        """Everything ends once every delta arrives, and leaves nothing."""
        rows = sum(each.cache_length(each.pending) + CONTEXT for each in self.open)
        for _ in range(20 * (rows + 1)):
            self.deltas.arrive()
            self.step()
        assert not self.open
        assert self.pool.free == BLOCKS
        assert self.deltas.table.available


class Apart(Machine):
    """The same without a prefix cache: every block has one holder."""

    shares = False

    @invariant()
    def blocks_are_not_shared(self) -> None:
        assert sum(len(one.blocks) for one in running(self.scheduler)) + self.pool.free == BLOCKS


Machine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestScheduler = Machine.TestCase
Apart.TestCase.settings = settings(max_examples=20, stateful_step_count=40, deadline=None)
TestSchedulerWithoutPrefixCache = Apart.TestCase
