"""Stats: what an engine is doing now."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stats:
    """What the engine is doing now; the tasks listed are those with a delta."""

    waiting: int
    running: int
    cache_usage: float
    running_tasks: tuple[str, ...]
    waiting_tasks: tuple[str, ...]
    max_deltas: int
