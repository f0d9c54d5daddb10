"""What the first request of a delta waits for: its way from the disk to a slot."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from statistics import median
from typing import Self

from server.bench.completion import Timing
from server.bench.endpoint import Endpoint
from server.bench.figures import Percentiles
from server.bench.load import Load, drive
from server.bench.side import BASE


@dataclass(frozen=True)
class Plan:
    """Requests with the input of `load`, one at a time; meanwhile `streams` of it on the base."""

    load: Load
    streams: int


@dataclass(frozen=True)
class Cold:
    """Time to the first token, in milliseconds.

    `bare` is the bare base's, `cold` a task's in its first request and `resident` in its second;
    `added` is the median of their difference, task by task. `kinds` counts the tasks by kind, and
    `streams` what went to the bare base meanwhile.
    """

    base: str
    input_tokens: int
    streams: int
    kinds: dict[str, int]
    bare: Percentiles
    resident: Percentiles
    cold: Percentiles
    added: float

    @classmethod
    def of(cls, base: str, plan: Plan, kinds: dict[str, int], timings: Sequence[Timing]) -> Self:
        """Sum up triples: a task's first request, its second, and one of the bare base."""
        firsts = [timing.first for timing in timings]
        cold, resident, bare = firsts[0::3], firsts[1::3], firsts[2::3]
        pairs = zip(cold, resident, strict=True)
        return cls(
            base=base,
            input_tokens=plan.load.input_tokens,
            streams=plan.streams,
            kinds=kinds,
            bare=Percentiles.of(bare),
            resident=Percentiles.of(resident),
            cold=Percentiles.of(cold),
            added=median(first - second for first, second in pairs) * 1e3,
        )


def measure_cold(
    url: str, plan: Plan, warm: Sequence[str], fresh: Sequence[str], done: Callable[[], object]
) -> list[Timing]:
    """Ask each fresh task twice, then the bare base; `done` follows each request.

    The `warm` ones come first and do not count: a kind's first delta also hooks the base's modules.
    """
    return asyncio.run(_measure(Endpoint(url), plan, warm, fresh, done))


async def _measure(
    server: Endpoint,
    plan: Plan,
    warm: Sequence[str],
    fresh: Sequence[str],
    done: Callable[[], object],
) -> list[Timing]:
    first = [BASE, *warm]
    models = [*first, *(model for name in fresh for model in (name, name, BASE))]
    load = replace(plan.load, concurrency=1, requests=len(models), output_tokens=1)
    async with _streams(server, plan):
        run = await drive(server, models, load, "cold", done)
    return run.timings[len(first) :]


@asynccontextmanager
async def _streams(server: Endpoint, plan: Plan) -> AsyncGenerator[None]:
    if not plan.streams:
        yield
        return
    load = replace(plan.load, concurrency=plan.streams, requests=sys.maxsize)
    streams = asyncio.create_task(drive(server, [BASE], load, "beside", lambda: None))
    try:
        yield
    finally:
        streams.cancel()
        with suppress(asyncio.CancelledError):
            await streams
