"""Stats: what an engine is doing now."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stats:
    """What the engine is doing now; the tasks listed are those with a delta.

    `prefix_queries` and `prefix_hits` count since the start the tokens that were looked for in
    the prefix cache and those found, `preemptions` the sequences that had to start over.
    """

    waiting: int
    running: int
    cache_usage: float
    running_tasks: tuple[str, ...]
    waiting_tasks: tuple[str, ...]
    max_deltas: int
    prefix_queries: int
    prefix_hits: int
    preemptions: int
