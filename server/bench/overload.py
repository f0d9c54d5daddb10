"""What those wait who are let in while many times as many ask as there are places."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

from server.bench.crowd import Crowd
from server.bench.endpoint import Endpoint
from server.bench.figures import Percentiles
from server.bench.load import Load
from server.bench.tally import Tally

FACTORS = (1, 2, 10, 20)


@dataclass(frozen=True)
class Level:
    """`clients` at once, `factor` times as many as there are places.

    `refused` is the share of attempts that were, `kept` the share of those admitted who came again
    when they were told to; `throughput` counts output tokens a second.
    """

    factor: int
    clients: int
    throughput: float
    first_token: Percentiles
    refused: float
    kept: float | None

    @classmethod
    def of(cls, factor: int, clients: int, tally: Tally) -> Self:
        """Sum up one load."""
        return cls(
            factor=factor,
            clients=clients,
            throughput=tally.throughput,
            first_token=Percentiles.of([timing.first for timing in tally.timings]),
            refused=tally.refused / (tally.refused + len(tally.timings)),
            kept=tally.welcome / tally.returned if tally.returned else None,
        )


@dataclass(frozen=True)
class Overload:
    """All loads, and the 99th percentile of each one's first token to the first load's."""

    base: str
    load: Load
    kinds: dict[str, int]
    levels: tuple[Level, ...]
    ratios: tuple[float, ...]

    @classmethod
    def of(cls, base: str, load: Load, kinds: dict[str, int], levels: Sequence[Level]) -> Self:
        """Compare loads with the first of them."""
        last = [level.first_token.p99 for level in levels]
        return cls(base, load, kinds, tuple(levels), tuple(each / last[0] for each in last))


def measure_overload(
    url: str, load: Load, models: Sequence[str], done: Callable[[], object]
) -> list[Level]:
    """Put each load on a server with `load.concurrency` places; `done` follows each answer.

    Raises BenchError where a request fails.
    """
    levels: list[Level] = []
    for factor in FACTORS:
        clients = load.concurrency * factor
        crowd = Crowd(Endpoint(url), models, load, clients, done)
        levels.append(Level.of(factor, clients, asyncio.run(crowd.run())))
    return levels
