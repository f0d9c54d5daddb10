"""What a measurement says: medians over runs, percentiles over all of their requests."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median
from typing import Self

from server.bench.load import Load, Run
from server.bench.turns import Turn


@dataclass(frozen=True)
class Spread:
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
    first_token: Spread
    inter_token: Spread | None
    health: Spread | None

    @classmethod
    def of(cls, runs: Sequence[Run]) -> Self:
        """Sum up the runs of one kind of traffic."""
        timings = [timing for run in runs for timing in run.timings]
        gaps = [gap for timing in timings for gap in timing.gaps]
        health = [answer for run in runs for answer in run.health]
        return cls(
            throughput=median(run.throughput for run in runs),
            first_token=Spread.of([timing.first for timing in timings]),
            inter_token=Spread.of(gaps) if gaps else None,
            health=Spread.of(health) if health else None,
        )


@dataclass(frozen=True)
class Report:
    """The bare base beside mixed tasks, and these beside a spread over many, measured in turns.

    `ratio` is the median over the turns of mixed throughput to base throughput, `spread_ratio` that
    of spread to mixed. `kinds` counts the mixed tasks by the kinds of their deltas, `base_share` is
    the share of the mix's requests that asked the bare base; `registered` counts the tasks that
    requests were spread over, and `slots` those that a server started for it has room for at once.
    """

    base: str
    load: Load
    repeat: int
    kinds: dict[str, int]
    base_share: float
    registered: int
    slots: int | None
    bare: Figures
    mixed: Figures
    ratio: float
    spread: Figures | None = None
    spread_ratio: float | None = None

    @classmethod
    def of(
        cls,
        base: str,
        load: Load,
        turns: Sequence[Turn],
        *,
        kinds: dict[str, int],
        base_share: float = 0.0,
        registered: int = 0,
        slots: int | None = None,
    ) -> Self:
        """Sum up turns, all of which have a mixed run."""
        bare = [turn.base for turn in turns]
        mixed = [turn.mixed for turn in turns if turn.mixed]
        spread = [turn.spread for turn in turns if turn.spread]
        return cls(
            base=base,
            load=load,
            repeat=len(turns),
            kinds=kinds,
            base_share=base_share,
            registered=registered,
            slots=slots,
            bare=Figures.of(bare),
            mixed=Figures.of(mixed),
            ratio=_ratio(mixed, bare),
            spread=Figures.of(spread) if spread else None,
            spread_ratio=_ratio(spread, mixed) if spread else None,
        )


def _ratio(over: Sequence[Run], under: Sequence[Run]) -> float:
    pairs = zip(over, under, strict=True)
    return median(after.throughput / before.throughput for after, before in pairs)
