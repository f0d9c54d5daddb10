"""What a comparison says: medians of every side, and how Polydelta stands to each peer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Self, TypeAlias

from server.bench.load import Load, Run
from server.bench.measures import Measure
from server.bench.report import Figures
from server.bench.turns import Turn

OURS = "polydelta"


Turns: TypeAlias = Mapping[str, Sequence[Turn]]
"""The turns of one measure, by side."""


@dataclass(frozen=True)
class Standing:
    """One side under one measure; rates in the measure's unit, `kept` is mixed to its own base."""

    base: Figures
    mixed: Figures | None
    kept: float | None

    @classmethod
    def of(cls, load: Load, turns: Sequence[Turn]) -> Self:
        """Sum up a side's turns."""
        mixed = [turn.mixed for turn in turns if turn.mixed]
        return cls(
            base=_figures(load, [turn.base for turn in turns]),
            mixed=_figures(load, mixed) if mixed else None,
            kept=_ratio([(turn.mixed, turn.base) for turn in turns]),
        )


@dataclass(frozen=True)
class Ratios:
    """Polydelta's rates to a peer's, each the median over turns.

    `merged` is mixed to the peer's bare base, which is as fast as a delta merged into it.
    """

    base: float | None
    mixed: float | None
    merged: float | None

    @classmethod
    def of(cls, ours: Sequence[Turn], theirs: Sequence[Turn]) -> Self:
        """Compare two sides turn by turn."""
        pairs = list(zip(ours, theirs, strict=True))
        return cls(
            base=_ratio([(our.base, their.base) for our, their in pairs]),
            mixed=_ratio([(our.mixed, their.mixed) for our, their in pairs]),
            merged=_ratio([(our.mixed, their.base) for our, their in pairs]),
        )


@dataclass(frozen=True)
class Compared:
    """One measure: every side's standing, and the ratios to every peer."""

    measure: Measure
    unit: str
    sides: dict[str, Standing]
    ratios: dict[str, Ratios]

    @classmethod
    def of(cls, measure: Measure, turns: Turns) -> Self:
        """Sum up a measure's turns, Polydelta's among them."""
        ours = turns[OURS]
        return cls(
            measure=measure,
            unit=measure.unit,
            sides={name: Standing.of(measure.load, side) for name, side in turns.items()},
            ratios={name: Ratios.of(ours, side) for name, side in turns.items() if name != OURS},
        )


@dataclass(frozen=True)
class Comparison:
    """Polydelta beside its peers, measured in turns; `deltas` says what was mixed."""

    base: str
    dtype: str
    deltas: str
    repeat: int
    measures: tuple[Compared, ...]


def _figures(load: Load, runs: Sequence[Run]) -> Figures:
    figures = Figures.of(runs)
    return replace(figures, throughput=figures.throughput * load.rated / load.output_tokens)


def _ratio(pairs: Sequence[tuple[Run | None, Run | None]]) -> float | None:
    ratios = [over.throughput / under.throughput for over, under in pairs if over and under]
    return median(ratios) if ratios else None
