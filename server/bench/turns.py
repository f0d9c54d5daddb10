"""Turns: one side's runs on the bare base and over deltas, one after the other."""

from dataclasses import dataclass

from server.bench.load import Run


@dataclass(frozen=True)
class Turn:
    """One side's runs of one turn.

    `mixed` is absent where a side serves no deltas, `spread` where all that are registered are
    mixed.
    """

    base: Run
    mixed: Run | None
    spread: Run | None = None
