"""Figures: medians over runs, percentiles over all of their requests."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median
from typing import Self

from server.bench.load import Run


@dataclass(frozen=True)
class Percentiles:
    """Two percentiles, in milliseconds."""

    p50: float
    p99: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Self:
        """Take the nearest-rank percentiles of one or more durations."""
        ordered = sorted(seconds)
        return cls(*(ordered[ceil(share * len(ordered)) - 1] * 1e3 for share in (0.5, 0.99)))


@dataclass(frozen=True)
class Figures:
    """One kind of traffic; throughput in output tokens a second."""

    throughput: float
    first_token: Percentiles
    inter_token: Percentiles | None
    health: Percentiles | None

    @classmethod
    def of(cls, runs: Sequence[Run | None]) -> Self | None:
        """Sum up the runs of one kind of traffic, if there are any."""
        runs = [run for run in runs if run]
        if not runs:
            return None
        timings = [timing for run in runs for timing in run.timings]
        gaps = [gap for timing in timings for gap in timing.gaps]
        health = [answer for run in runs for answer in run.health]
        return cls(
            throughput=median(run.throughput for run in runs),
            first_token=Percentiles.of([timing.first for timing in timings]),
            inter_token=Percentiles.of(gaps) if gaps else None,
            health=Percentiles.of(health) if health else None,
        )
