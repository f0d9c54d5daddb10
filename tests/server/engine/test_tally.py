"""Times in buckets, whose quantiles are held to those of the very times."""

import random
from bisect import bisect_left
from statistics import quantiles

import pytest

from server.engine.tally import BOUNDS, Times


def test_nothing_has_no_quantile() -> None:
    assert Times().within(0.5) is None


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("part", [50, 99])
def test_a_quantile_is_in_the_bucket_of_the_true_one(seed: int, part: int) -> None:
    draw = random.Random(seed)
    taken = [draw.lognormvariate(-2, 1) for _ in range(1000)]
    times = Times()
    for each in taken:
        times.add(each)
    true = quantiles(taken, n=100, method="inclusive")[part - 1]
    found = times.within(part / 100)
    assert found is not None
    assert abs(bisect_left(BOUNDS, found) - bisect_left(BOUNDS, true)) <= 1
    assert found == pytest.approx(true, rel=0.5)


def test_what_takes_longer_than_every_bucket_is_told_by_the_last_bound() -> None:
    times = Times()
    times.add(1000)
    assert times.within(0.99) == BOUNDS[-1]
