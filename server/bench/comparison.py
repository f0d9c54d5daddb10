"""What a comparison says: medians of every side, and how Polydelta stands to each peer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from server.bench.figures import Figures
from server.bench.load import Load, Run
from server.bench.measures import Measure
from server.bench.turns import Steadiness, Turn, Turns, beside, given_up, median_ratio

OURS = "polydelta"


@dataclass(frozen=True)
class Standing:
    """One side under one measure; rates in the measure's unit, `kept` is mixed to its own base.

    `given_up` counts the runs, base or mixed, that took too long and are left out of everything.
    """

    base: Figures | None
    mixed: Figures | None
    kept: float | None
    given_up: dict[str, int]

    @classmethod
    def of(cls, load: Load, turns: Sequence[Turn]) -> Self:
        """Sum up a side's turns."""
        return cls(
            base=_figures(load, [turn.base for turn in turns]),
            mixed=_figures(load, [turn.mixed for turn in turns]),
            kept=median_ratio([(turn.mixed, turn.base) for turn in turns]),
            given_up=given_up(turns),
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
            base=median_ratio([(our.base, their.base) for our, their in pairs]),
            mixed=median_ratio([(our.mixed, their.mixed) for our, their in pairs]),
            merged=median_ratio([(our.mixed, their.base) for our, their in pairs]),
        )


@dataclass(frozen=True)
class Compared:
    """One measure: every side's standing, and the ratios to every peer.

    If it was made beside busy processes, `beside` is their number, and `steadiness` compares every
    side's rates with its quiet ones.
    """

    measure: Measure
    unit: str
    sides: dict[str, Standing]
    ratios: dict[str, Ratios]
    beside: int = 0
    steadiness: dict[str, Steadiness] = field(default_factory=dict[str, Steadiness])

    @classmethod
    def each(cls, measure: Measure, turns: Turns, busy: int) -> Iterator[Self]:
        """Sum up the quiet runs of a measure, and then those beside busy processes, if any."""
        yield cls.of(measure, turns)
        if busy:
            again = cls.of(measure, {name: beside(side) for name, side in turns.items()})
            steadiness = {name: Steadiness.of(side) for name, side in turns.items()}
            yield replace(again, beside=busy, steadiness=steadiness)

    @classmethod
    def of(cls, measure: Measure, turns: Turns) -> Self:
        """Sum up turns, Polydelta's among them."""
        ours = turns[OURS]
        return cls(
            measure=measure,
            unit=measure.unit,
            sides={name: Standing.of(measure.load, side) for name, side in turns.items()},
            ratios={name: Ratios.of(ours, side) for name, side in turns.items() if name != OURS},
        )


@dataclass(frozen=True)
class Comparison:
    """Polydelta and its peers, measured in turns; `deltas` says what was mixed.

    `quota` is how many processors each side had, if not all. A measure that was made beside busy
    processes, too, comes twice: quiet, then beside them.
    """

    base: str
    dtype: str
    deltas: str
    repeat: int
    measures: tuple[Compared, ...]
    quota: float | None = None


def _figures(load: Load, runs: Sequence[Run | None]) -> Figures | None:
    figures = Figures.of(runs)
    if figures is None:
        return None
    return replace(figures, throughput=figures.throughput * load.rated / load.output_tokens)
