"""Stats: what an engine is doing now."""

from dataclasses import dataclass

from server.engine.loaded import Loaded


@dataclass(frozen=True, slots=True)
class Stats:
    """What the engine is doing now; the tasks listed are those with a delta.

    `device_deltas` counts those in slots, of which there are `max_deltas`, `host_deltas` those in
    host memory, where one that is in a slot may be, too; `loaded` names them up to a bound.
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
    loaded: tuple[Loaded, ...]
    prefix_queries: int
    prefix_hits: int
    preemptions: int
