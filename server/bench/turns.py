"""Turns: one side's runs on the bare base and over deltas, and the same beside busy processes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Self, TypeAlias

from server.bench.load import Run


@dataclass(frozen=True)
class Course:
    """How a measure is run: in `repeat` turns, every run again beside so many `busy` processes."""

    repeat: int
    busy: int = 0

    @property
    def passes(self) -> int:
        """How often a turn makes each of its runs: quiet and, if that is asked for, beside."""
        return 2 if self.busy else 1

    @property
    def runs(self) -> int:
        """How often each run is made in all turns."""
        return self.repeat * self.passes


@dataclass(frozen=True)
class Turn:
    """One side's runs of one turn.

    `mixed` is absent where a side serves no deltas, `spread` where all that are registered are
    mixed, and any run that was given up, whose name is then among `given_up`. `beside` holds the
    same runs as they were made again beside busy processes.
    """

    base: Run | None
    mixed: Run | None
    spread: Run | None = None
    given_up: tuple[str, ...] = ()
    beside: "Turn | None" = None

    @classmethod
    def of(cls, runs: Mapping[str, Run | None], beside: "Turn | None" = None) -> Self:
        """Take runs by name; one that is there and None was given up."""
        given_up = tuple(name for name, run in runs.items() if run is None)
        return cls(runs.get("base"), runs.get("mixed"), runs.get("spread"), given_up, beside)


Turns: TypeAlias = Mapping[str, Sequence[Turn]]
"""The turns of one measure, by side."""


@dataclass(frozen=True)
class Steadiness:
    """Rates beside busy processes to quiet ones, each the median over turns."""

    base: float | None
    mixed: float | None
    spread: float | None

    @classmethod
    def of(cls, turns: Sequence[Turn]) -> Self:
        """Compare every run with the same one beside."""
        pairs = [(turn.beside, turn) for turn in turns if turn.beside]
        return cls(
            base=median_ratio([(beside.base, quiet.base) for beside, quiet in pairs]),
            mixed=median_ratio([(beside.mixed, quiet.mixed) for beside, quiet in pairs]),
            spread=median_ratio([(beside.spread, quiet.spread) for beside, quiet in pairs]),
        )


def beside(turns: Sequence[Turn]) -> list[Turn]:
    """The runs of turns that were made beside busy processes."""
    return [turn.beside for turn in turns if turn.beside]


def given_up(turns: Sequence[Turn]) -> dict[str, int]:
    """Count the runs that were given up, by name."""
    names = [name for turn in turns for name in turn.given_up]
    return {name: names.count(name) for name in dict.fromkeys(names)}


def median_ratio(pairs: Sequence[tuple[Run | None, Run | None]]) -> float | None:
    """The median of the ratios of throughput, of those pairs of which both runs are there."""
    ratios = [over.throughput / under.throughput for over, under in pairs if over and under]
    return median(ratios) if ratios else None
