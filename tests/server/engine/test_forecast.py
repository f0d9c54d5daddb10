"""Forecasts beside a scheduler that takes and ends the same rows."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis.strategies import integers, lists, sampled_from, tuples

from server.engine.forecast import Forecast
from server.engine.lengths import Lengths
from server.engine.pace import Pace
from server.engine.row import Party, Row
from server.engine.scheduler import Scheduler
from server.registry.version import Version
from tests.server.engine.scheduling import PARTIES, Everywhere, of_party

STEP = 0.02


def at_pace() -> Pace:
    """A step takes 20 ms, a row of a prompt nothing."""
    pace = Pace()
    pace.took(STEP, 1, 1)
    pace.took(STEP, 2, 2)
    return pace


def row(party: Party, tokens: int, *, running: bool) -> Row:
    return Row(Version.bare(generates=True), party, 0, tokens, tokens, running=running)


@given(
    old=lists(PARTIES, max_size=40),
    new=PARTIES,
    places=integers(1, 8),
    length=integers(1, 30),
)
def test_a_row_waits_as_long_as_the_forecast_says(
    old: list[tuple[str, str]], new: tuple[str, str], places: int, length: int
) -> None:
    scheduler = Scheduler(Everywhere(), None, 1000, places)
    for number, party in enumerate(old):
        scheduler.add(of_party(number, *party))
    scheduler.schedule()
    begun = set(scheduler.running)
    waiting = list(scheduler.waiting)
    rows = [
        row(Party(each.version.ref.task, each.caller), length, running=each in begun)
        for each in [*scheduler.running, *waiting]
    ]
    expected = Forecast(rows, places, at_pace()).wait(Party(*new))
    mine = of_party(99, *new)
    scheduler.add(mine)
    age = Counter(dict.fromkeys(scheduler.running, 0))
    steps = 0
    while mine not in scheduler.running:
        scheduler.schedule()
        if mine in scheduler.running:
            break
        steps += 1
        for one in list(scheduler.running):
            age[one] += 1
            if age[one] == length:
                scheduler.end(one)
    # Whose last turn is how long ago is not foreseen, nor the places that go to the oldest.
    unforeseen = len(set(old)) + len(old) / 9
    assert expected == pytest.approx(STEP * steps, abs=STEP * length * (1 + unforeseen / places))


@given(lengths=lists(integers(1, 100), min_size=1, max_size=32), most=integers(1, 100))
def test_lengths_are_drawn_from_the_last_ones(lengths: list[int], most: int) -> None:
    known = Lengths()
    for tokens in lengths:
        known.add("task", tokens, 101)
    drawn = [known.draw("task", most) for _ in lengths]
    assert sorted(drawn) == sorted(min(most, each) for each in lengths)
    assert known.draw("never met", most) <= min(most, max(lengths))


def test_where_answers_end_by_their_bound_the_next_is_expected_to_reach_its_own() -> None:
    known = Lengths()
    for most in (3, 40, 7):
        known.add("task", most, most)
    assert [known.draw("task", most) for most in (64, 2, 500)] == [64, 2, 500]


@given(values=lists(tuples(integers(1, 9), sampled_from([0.01, 0.1, 1.0])), min_size=1, max_size=9))
def test_a_pace_is_right_from_its_first_step_and_forgets(values: list[tuple[int, float]]) -> None:
    pace = Pace()
    pace.took(3.0, 9, 1)
    assert (pace.step, pace.row) == (pytest.approx(3.0), pytest.approx(3.0 / 9))
    for rows, seconds in values:
        pace.took(seconds, rows, 1)
    assert pace.step <= 3.0
    for _ in range(100):
        pace.took(0.01, 1, 1)
    assert pace.step == pytest.approx(0.01, rel=0.01)


def test_a_row_that_outruns_its_length_is_expected_to_go_on() -> None:
    one = row(Party("task", ""), 8, running=True)
    one.most = 100
    for tokens in range(100):
        one.tokens = tokens
        assert 0 < one.left <= 100 - tokens
    one.tokens = 100
    assert one.left == 0
