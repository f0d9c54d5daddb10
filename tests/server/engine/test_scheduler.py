"""The scheduler in pure integers: under random use nothing leaks, is shared or waits for ever."""

from collections import Counter
from copy import deepcopy
from itertools import count, pairwise
from typing import TypeAlias

import pytest
import torch
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.strategies import (
    SearchStrategy,
    booleans,
    integers,
    lists,
    sampled_from,
    tuples,
)

from deltas.delta import DeltaRef, PromptStyle, TaskType
from deltas.kinds import Extent
from deltas.segments import BASE_SLOT
from deltas.slots import SlotTable
from server.engine.blocks import BlockPool
from server.engine.prefix_cache import PrefixCache
from server.engine.residency import Residency
from server.engine.scheduler import Scheduled, Scheduler
from server.engine.sequence import Sequence
from server.errors import DeltaUnavailable
from server.model.sampling import Sampling
from server.registry.version import Version

ROWS, SEQUENCES, SLOTS, BLOCKS, BLOCK = 11, 5, 2, 8, 4
CONTEXT = BLOCKS * BLOCK
PROMPTS = integers(1, CONTEXT // 2)
LENGTHS = integers(1, CONTEXT // 2)
EXTENTS = (Extent(), Extent(rows=3), Extent(cached=5, shift=5))
TASKS = ("base", "broken", *(f"task-{index}" for index in range(5)))
# Beginnings that part ways in the second block.
TEXTS = [9] * CONTEXT, [9] * 6 + [8] * CONTEXT
SALTS = ("", "salt")

Row: TypeAlias = tuple[str, str, int, tuple[int, ...]]
"""All that a row's keys and values depend on: version, salt, place and the tokens so far."""


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


@pytest.fixture
def scheduler() -> Scheduler:
    pool = BlockPool(BLOCKS, BLOCK)
    return Scheduler(Slots(), pool, ROWS, SEQUENCES, PrefixCache(pool))


def compute(scheduler: Scheduler, *new: Sequence) -> None:
    """Take sequences in and do a step, after which those without rows to compute get a token."""
    for one in new:
        scheduler.add(one)
    for one in scheduler.schedule():
        one.sequence.computed += one.rows
        scheduler.publish(one.sequence)
        if not one.sequence.pending:
            one.sequence.tokens.append(9)


def test_decoding_rows_come_before_a_prompt(scheduler: Scheduler) -> None:
    first, second = sequence(1, "base", 4, 9), sequence(2, "base", 20, 9)
    scheduler.add(first)
    scheduler.add(second)
    assert scheduler.schedule() == [Scheduled(first, 4), Scheduled(second, ROWS - 4)]
    first.computed, second.computed = 4, ROWS - 4
    first.tokens.append(9)
    assert scheduler.schedule() == [Scheduled(first, 1), Scheduled(second, ROWS - 1)]


def test_a_base_row_passes_a_long_prompt_whose_delta_loads(scheduler: Scheduler) -> None:
    running, loading = sequence(1, "base", 8, 16), sequence(2, "task-2", 16, 9)
    passing = sequence(3, "base", 2, 9)
    scheduler.add(running)
    scheduler.schedule()
    running.computed = 8
    running.tokens += [9] * 8
    scheduler.add(loading)
    scheduler.add(passing)
    assert [one.sequence for one in scheduler.schedule()] == [running, passing]


def test_a_preempted_sequence_finds_its_own_blocks(scheduler: Scheduler) -> None:
    old, young = sequence(1, "base", 11, 20), sequence(2, "base", 11, 20)
    compute(scheduler, old)
    compute(scheduler, young)
    while young.blocks:
        compute(scheduler)
    computed = len(young.tokens)
    assert young.computed == 0
    scheduler.end(old)
    (again,) = scheduler.schedule()
    assert again.sequence is young
    assert again.rows < BLOCK < computed


def test_equal_beginnings_are_computed_once(scheduler: Scheduler) -> None:
    first, second, other = (
        sequence(at, "base", 9, 9, salt) for at, salt in ((1, ""), (3, ""), (5, "x"))
    )
    compute(scheduler, first)
    scheduler.add(second)
    scheduler.add(other)
    assert scheduler.schedule() == [Scheduled(first, 1), Scheduled(second, 1), Scheduled(other, 9)]
    assert second.blocks[:2] == first.blocks[:2]
    assert not {*second.blocks[2:], *other.blocks} & {*first.blocks}
    prefixes = scheduler.prefixes
    assert prefixes is not None
    assert (prefixes.queries, prefixes.hits) == (27, 8)


def test_a_row_is_left_to_compute(scheduler: Scheduler) -> None:
    first, second = sequence(1, "base", 2 * BLOCK, 9), sequence(3, "base", 2 * BLOCK, 9)
    compute(scheduler, first)
    scheduler.end(first)
    scheduler.add(second)
    assert scheduler.schedule() == [Scheduled(second, BLOCK)]


Arrivals: TypeAlias = list[tuple[int, str, int, int]]
"""When a sequence comes, of which task, with how many rows, and how many it writes."""


def ends(arrivals: Arrivals, behind: Arrivals) -> dict[int, int]:
    """In which step each sequence ends, with others in the background."""
    slots = Slots()
    scheduler = Scheduler(slots, BlockPool(BLOCKS, BLOCK), ROWS, SEQUENCES)
    coming = [(each[0], sequence(at, *each[1:])) for at, each in enumerate([*arrivals, *behind])]
    for _, one in coming[len(arrivals) :]:
        one.background = True
    ended: dict[int, int] = {}
    for step in count():
        if len(ended) == len(coming):
            break
        compute(scheduler, *(one for at, one in coming if at == step))
        slots.arrive()
        for one in running(scheduler):
            if one.generated >= one.sampling.max_tokens:
                scheduler.end(one)
                ended[one.key[1]] = step
    return {at: ended[at] for at in range(len(arrivals))}


def arrivals_of(*tasks: str, most: int) -> SearchStrategy[Arrivals]:
    one = tuples(integers(0, 12), sampled_from(tasks), integers(1, 12), integers(1, 8))
    return lists(one, max_size=most)


@given(arrivals_of("base", "task-0", most=8), arrivals_of("base", "task-1", most=12))
@settings(deadline=None)
def test_the_background_costs_nobody_a_step(arrivals: Arrivals, behind: Arrivals) -> None:
    assert ends(arrivals, behind) == ends(arrivals, [])


def test_an_encoder_computes_a_sequence_whole() -> None:
    scheduler = Scheduler(Slots(), None, ROWS, SEQUENCES)
    long, short, other = (sequence(at, "base", rows, 9) for at, rows in enumerate((20, 5, 6)))
    for one in (short, long, other):
        scheduler.add(one)
    assert [one.sequence for one in scheduler.schedule()] == [short, other]
    for one in (short, other):
        scheduler.end(one)
    # Longer than a step, it gets one of its own.
    assert scheduler.schedule() == [Scheduled(long, 20)]


class Everywhere(Slots):
    """Every delta is on the device."""

    def acquire(self, ref: DeltaRef) -> int | None:
        return 1

    def release(self, ref: DeltaRef) -> None:
        pass


def of_party(number: int, task: str, caller: str) -> Sequence:
    new = sequence(number, task, 1, 9)
    new.caller = caller
    return new


PARTIES = tuples(sampled_from(TASKS[2:6]), sampled_from("abc"))


@given(waiting=lists(PARTIES, max_size=60), places=integers(1, 16))
def test_places_are_shared_by_task_and_then_by_caller(
    waiting: list[tuple[str, str]], places: int
) -> None:
    scheduler = Scheduler(Everywhere(), None, 1000, places)
    for number, (task, caller) in enumerate(waiting):
        scheduler.add(of_party(number, task, caller))
    scheduler.schedule()
    assert len(scheduler.running) == min(places, len(waiting))
    tasks = Counter(each.version.ref.task for each in scheduler.running)
    callers = Counter((each.version.ref.task, each.caller) for each in scheduler.running)
    for left in scheduler.waiting:
        task = left.version.ref.task
        assert tasks[task] >= max(tasks.values()) - 1
        rivals = [count for (other, _), count in callers.items() if other == task]
        assert callers[task, left.caller] >= max(rivals, default=0) - 1


@given(
    arrivals=lists(lists(tuples(PARTIES, integers(1, 30)), max_size=6), min_size=1, max_size=60),
    places=integers(1, 6),
)
def test_nobody_waits_for_ever(
    arrivals: list[list[tuple[tuple[str, str], int]]], places: int
) -> None:
    scheduler = Scheduler(Everywhere(), None, 1000, places)
    given_places = number = 0
    latest: dict[Sequence, int] = {}
    ends: dict[Sequence, int] = {}
    for step, new in enumerate([*arrivals, *[[]] * 30 * 6 * len(arrivals)]):
        for (task, caller), length in new:
            number += 1
            one = of_party(number, task, caller)
            ends[one] = length
            # However many of others come, the oldest gets one of so many places.
            latest[one] = given_places + (len(scheduler.waiting) + 1) * (8 + places)
            scheduler.add(one)
        scheduler.schedule()
        for one in [each for each in scheduler.running if each in latest]:
            given_places += 1
            assert given_places <= latest.pop(one)
            ends[one] += step
        for one in [each for each in scheduler.running if ends[each] <= step]:
            scheduler.end(one)
    assert not latest


def test_who_has_had_no_turn_comes_before_a_queue_of_others() -> None:
    scheduler = Scheduler(Everywhere(), None, 1000, 1)
    for number in range(20):
        scheduler.add(of_party(number, TASKS[2], "a"))
    scheduler.schedule()
    polite, same = of_party(30, TASKS[3], "a"), of_party(31, TASKS[2], "b")
    scheduler.add(polite)
    scheduler.add(same)
    begun = []
    for _ in range(3):
        scheduler.end(scheduler.running[0])
        begun += [one.sequence for one in scheduler.schedule()]
    assert begun[0] is polite
    assert begun[1] is same


def test_a_task_whose_row_never_ends_gets_more_among_many_that_come() -> None:
    scheduler = Scheduler(Everywhere(), None, 1000, 2)
    endless, second = (of_party(at, TASKS[2], "a") for at in range(2))
    scheduler.add(endless)
    scheduler.schedule()
    scheduler.add(second)
    for number in range(20):
        for task in TASKS[3:6]:
            scheduler.add(of_party(3 + number, task, "a"))
        scheduler.schedule()
        for one in scheduler.running:
            if one is second:
                return
            if one is not endless:
                scheduler.end(one)
                break
    pytest.fail("it waits still")
