"""What the measurement of one server says, and what it says beside busy processes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from server.bench.figures import Figures
from server.bench.load import Load
from server.bench.turns import Steadiness, Turn, beside, given_up, median_ratio


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The bare base, mixed tasks and a spread over many, measured in turns.

    `ratio` is the median over the turns of mixed throughput to base throughput, `spread_ratio` that
    of spread to mixed. `given_up` counts by name the runs that took too long and are left out.
    """

    bare: Figures | None
    mixed: Figures | None
    ratio: float | None
    spread: Figures | None
    spread_ratio: float | None
    given_up: dict[str, int]

    @classmethod
    def sum_up(cls, turns: Sequence[Turn], **others: Any) -> Self:
        """Sum up turns; `others` are the fields that a further class has."""
        return cls(
            bare=Figures.of([turn.base for turn in turns]),
            mixed=Figures.of([turn.mixed for turn in turns]),
            ratio=median_ratio([(turn.mixed, turn.base) for turn in turns]),
            spread=Figures.of([turn.spread for turn in turns]),
            spread_ratio=median_ratio([(turn.spread, turn.mixed) for turn in turns]),
            given_up=given_up(turns),
            **others,
        )


@dataclass(frozen=True, kw_only=True)
class Beside(Outcome):
    """The same beside so many `busy` processes; `steadiness` compares it with the quiet runs."""

    busy: int
    steadiness: Steadiness


@dataclass(frozen=True, kw_only=True)
class Report(Outcome):
    """What came of the quiet runs of a server, and `beside` busy processes.

    `kinds` counts the mixed tasks by the kinds of their deltas, `base_share` is the share of the
    mix's requests that asked the bare base; `registered` counts the tasks that requests were spread
    over, and `slots` those that a server started for it has room for at once; `quota` is how many
    processors that server had, if not all.
    """

    base: str
    load: Load
    repeat: int
    kinds: dict[str, int]
    base_share: float
    registered: int
    slots: int | None
    quota: float | None
    beside: Beside | None

    @classmethod
    def of(
        cls,
        base: str,
        load: Load,
        turns: Sequence[Turn],
        *,
        kinds: dict[str, int],
        base_share: float = 0.0,
        registered: int = 0,
        slots: int | None = None,
        quota: float | None = None,
        busy: int = 0,
    ) -> Self:
        """Sum up turns, whose second runs were beside so many `busy` processes."""
        steadiness = Steadiness.of(turns)
        return cls.sum_up(
            turns,
            base=base,
            load=load,
            repeat=len(turns),
            kinds=kinds,
            base_share=base_share,
            registered=registered,
            slots=slots,
            quota=quota,
            beside=Beside.sum_up(beside(turns), busy=busy, steadiness=steadiness) if busy else None,
        )
