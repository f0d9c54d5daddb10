"""Stats: what an engine is doing now."""

from collections import Counter
from dataclasses import dataclass

from server.engine.admission import Admission
from server.engine.core import EngineCore
from server.engine.limits import Limits


@dataclass(frozen=True, slots=True)
class Stats:
    """What the engine is doing now; the tasks listed are those with a delta.

    `device_deltas` counts those in slots, of which there are `max_deltas`, `host_deltas` those in
    host memory, where one that is in a slot may be, too.
    `expected_wait` is how many seconds a task that has nothing running waits for a place.
    `prefix_queries` and `prefix_hits` count since the start the tokens that were looked for in
    the prefix cache and those found, `preemptions` the sequences that had to start over.
    """

    waiting: int
    running: int
    expected_wait: float
    cache_usage: float
    running_tasks: tuple[str, ...]
    waiting_tasks: tuple[str, ...]
    max_deltas: int
    device_deltas: int
    host_deltas: int
    prefix_queries: int
    prefix_hits: int
    preemptions: int


def stats_of(admission: Admission, core: EngineCore, limits: Limits) -> Stats:
    """Count what an engine's parts hold at this moment."""
    running: Counter[str] = Counter()
    waiting: Counter[str] = Counter()
    deltas: set[str] = set()
    for row in admission.rows:
        ref = row.version.ref
        if ref.digest:
            deltas.add(ref.task)
        (running if row.running else waiting)[ref.task] += 1
    on_device, on_host = core.residency.counts
    blocks, prefixes = core.scheduler.blocks, core.scheduler.prefixes
    return Stats(
        waiting=waiting.total(),
        running=running.total(),
        expected_wait=admission.wait,
        cache_usage=blocks.usage if blocks is not None else 0.0,
        running_tasks=tuple(sorted(deltas & running.keys())),
        waiting_tasks=tuple(sorted(deltas & waiting.keys())),
        max_deltas=limits.max_deltas,
        device_deltas=on_device,
        host_deltas=on_host,
        prefix_queries=prefixes.queries if prefixes is not None else 0,
        prefix_hits=prefixes.hits if prefixes is not None else 0,
        preemptions=core.scheduler.preemptions,
    )
