"""The scheduler in pure integers: who gets how many rows of a step."""

import pytest

from deltas.delta import DeltaRef
from server.engine.beams import Branching
from server.engine.blocks import BlockPool
from server.engine.core import _started
from server.engine.prefix_cache import PrefixCache
from server.engine.scheduler import Scheduled, Scheduler
from server.engine.sequence import Beams
from server.errors import DeltaUnavailable
from server.model.beam_search import BeamSearch
from server.model.sampling import Sampling
from tests.server.engine.scheduling import (
    BLOCK,
    BLOCKS,
    ROWS,
    SEQUENCES,
    Slots,
    compute,
    sequence,
)


@pytest.fixture
def scheduler() -> Scheduler:
    pool = BlockPool(BLOCKS, BLOCK)
    return Scheduler(Slots(), pool, ROWS, SEQUENCES, PrefixCache(pool))


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


def test_beams_are_all_in_the_slot_that_the_first_one_got() -> None:
    first, second = beams = [sequence(number, "task-2", 6, 9) for number in (1, 3)]
    first.beams = second.beams = Beams(BeamSearch(Sampling(num_beams=2)), beams)
    second.reset()
    slots, acquired = Slots(), 0

    def acquire(ref: DeltaRef) -> int | None:
        nonlocal acquired
        acquired += 1
        if acquired > 1:
            raise DeltaUnavailable("broken")
        slots.table.claim(ref)
        slots.table.pin(ref)
        return slots.table.find(ref)

    slots.acquire = acquire
    scheduler = Scheduler(slots, BlockPool(BLOCKS, BLOCK), ROWS, SEQUENCES)
    scheduler.add(first)
    assert scheduler.schedule() == [Scheduled(first, first.prompt)]
    assert first.slot == second.slot == slots.table.find(first.version.ref)
    assert not scheduler.take_failed()
    scheduler.end(first)
    assert not slots.table.pinned(first.version.ref)


def test_a_beam_that_goes_on_from_another_does_not_begin() -> None:
    pool = BlockPool(2, BLOCK)
    parent, child = sequence(1, "base", 6, 9), sequence(3, "base", 6, 9)
    parent.blocks, parent.computed = pool.take(2), 6
    # The child was the first once, and found a block.
    child.reused = BLOCK
    branching = Branching(pool, lambda _: None, frozenset())
    assert not branching._share(parent, child, 6)
    assert child.computed == BLOCK
    assert not list(_started([Scheduled(child, 2)]))
