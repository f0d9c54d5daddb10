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
from server.engine.sequence import Sequence
from server.engine.turns import Turns, Weight, alike
from server.registry.version import Version
from tests.server.engine.scheduling import PARTIES, TASKS, Everywhere, of_party

STEP = 0.02


def at_pace() -> Pace:
    """A step takes 20 ms, a row of a prompt nothing."""
    pace = Pace()
    pace.took(STEP, 1, 1)
    pace.took(STEP, 2, 2)
    return pace


def row(party: Party, tokens: int, *, running: bool) -> Row:
    return Row(Version.bare(generates=True), party, 0, tokens, tokens, running=running)


WEIGHTS = {"light": 1, "heavy": 8}


def told_and_waited(
    old: list[Party], new: Party, places: int, length: int, weight: Weight
) -> tuple[float, int]:
    """What a new row is told to wait behind others, and for how many steps it does."""
    scheduler = Scheduler(Everywhere(), None, 1000, places, turns=Turns(weight))
    scheduled = [sequence_of(number, party) for number, party in enumerate(old)]
    for each in scheduled:
        scheduler.add(each)
    scheduler.schedule()
    begun = set(scheduler.running)
    waiting = list(scheduler.waiting)
    parties = dict(zip(scheduled, old, strict=True))
    rows = [
        row(parties[each], length, running=each in begun) for each in [*scheduler.running, *waiting]
    ]
    expected = Forecast(rows, places, at_pace(), weight).wait(new)
    mine = sequence_of(99, new)
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
    return expected, steps


def sequence_of(number: int, party: Party) -> Sequence:
    new = of_party(number, party.task, party.caller)
    new.tenant = party.tenant
    return new


@given(
    old=lists(PARTIES, max_size=40),
    new=PARTIES,
    places=integers(1, 8),
    length=integers(1, 30),
)
def test_a_row_waits_as_long_as_the_forecast_says(
    old: list[tuple[str, str]], new: tuple[str, str], places: int, length: int
) -> None:
    parties = [Party(*each) for each in old]
    expected, steps = told_and_waited(parties, Party(*new), places, length, alike)
    # Whose last turn is how long ago is not foreseen, nor the places that go to the oldest.
    unforeseen = len(set(old)) + len(old) / 9
    assert expected == pytest.approx(STEP * steps, abs=STEP * length * (1 + unforeseen / places))


@given(
    light=integers(1, 4),
    heavy=integers(20, 60),
    places=integers(1, 3),
    length=integers(2, 20),
    turn=sampled_from([*WEIGHTS]),
)
def test_a_tenant_waits_by_its_weight_as_the_forecast_says(
    light: int, heavy: int, places: int, length: int, turn: str
) -> None:
    task = TASKS[2]
    old = [Party(task, "a", "heavy")] * heavy + [Party(task, "b", "light")] * light
    new = Party(task, "b" if turn == "light" else "a", turn)
    expected, steps = told_and_waited(old, new, places, length, WEIGHTS.__getitem__)
    # A place in nine goes to the oldest, and what runs when a row comes is served in part.
    unforeseen = 2 + WEIGHTS["heavy"] + (light + heavy) / 9
    assert expected == pytest.approx(STEP * steps, abs=STEP * length * (1 + unforeseen / places))


def test_a_small_weight_is_told_to_wait_longer() -> None:
    def wait(weight: Weight) -> float:
        old = [Party("task", "a", "heavy")] * 40 + [Party("task", "b", "light")] * 3
        rows = [row(party, 10, running=number == 0) for number, party in enumerate(old)]
        return Forecast(rows, 1, at_pace(), weight).wait(Party("task", "b", "light"))

    assert wait(WEIGHTS.__getitem__) == pytest.approx(wait(alike) * 24 / 6, rel=0.25)


def test_places_are_a_tenants_by_weight() -> None:
    mine, others = Party("task", "a", "light"), Party("task", "b", "heavy")
    rows = [row(each, 10, running=True) for each in (mine, others)]
    forecast = Forecast(rows, 18, at_pace(), WEIGHTS.__getitem__)
    assert [forecast.share(each) for each in (mine, others)] == [2, 16]


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
