"""Places: who of those that wait gets the next one."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis.strategies import integers, lists, tuples

from server.engine.scheduler import Scheduler
from server.engine.sequence import Sequence
from tests.server.engine.scheduling import PARTIES, TASKS, Everywhere, of_party


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
