"""The background: sequences that take what others leave of a step."""

from itertools import count
from typing import TypeAlias

from hypothesis import given, settings
from hypothesis.strategies import SearchStrategy, integers, lists, sampled_from, tuples

from server.engine.blocks import BlockPool
from server.engine.scheduler import Scheduler
from tests.server.engine.scheduling import (
    BLOCK,
    BLOCKS,
    ROWS,
    SEQUENCES,
    Slots,
    compute,
    running,
    sequence,
)

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
