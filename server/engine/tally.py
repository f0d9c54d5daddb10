"""The tally: what versions did that share a task's traffic, or answer it unseen."""

from bisect import bisect_left
from collections import OrderedDict
from dataclasses import dataclass, field

from deltas.delta import DeltaRef
from server.engine.agreement import Agreement

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Seconds up to which each bucket of a histogram goes; what takes longer is in one more."""

_MOST = 512
"""Versions that are counted: of more, those that answered last."""


@dataclass
class Times:
    """How long answers took, in buckets, and seconds in all."""

    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    total: float = 0.0

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self.buckets)

    @property
    def mean(self) -> float | None:
        """Seconds, None where there was nothing."""
        return self.total / self.count if self.count else None

    def within(self, part: float) -> float | None:
        """Seconds within which a part of them came, 0 to 1, None where there was nothing.

        Within a bucket they count as evenly spread, as in Prometheus' `histogram_quantile`; what is
        in the last one counts as its lower bound.
        """
        if not self.count:
            return None
        rank, before, low = part * self.count, 0, 0.0
        for bound, held in zip(BOUNDS, self.buckets, strict=False):
            if held and before + held >= rank:
                return low + (bound - low) * (rank - before) / held
            before, low = before + held, bound
        return BOUNDS[-1]

    def add(self, seconds: float) -> None:
        """Count one."""
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds


@dataclass
class Counts:
    """What one version did since the server started.

    Of requests that it answered or `failed` to, `first` is when the first token came. As a shadow
    it was `compared` so often, of which so many answers were `equal`, `likeness` in all; others
    `missed`, since they failed, or were `dropped`, since the server had other work.
    """

    number: int
    answered: int = 0
    failed: int = 0
    first: Times = field(default_factory=Times)
    whole: Times = field(default_factory=Times)
    compared: int = 0
    equal: int = 0
    likeness: float = 0.0
    missed: int = 0
    dropped: int = 0
    stepped_back: int = 0

    def compare(self, found: Agreement) -> None:
        """Count a comparison."""
        self.compared += 1
        self.equal += found.equal
        self.likeness += found.likeness


class Tally:
    """Counts by version; for one thread."""

    def __init__(self) -> None:
        self._counts: OrderedDict[DeltaRef, Counts] = OrderedDict()

    def of(self, ref: DeltaRef, number: int) -> Counts:
        """A version's counts, to be added to."""
        counts = self._counts.setdefault(ref, Counts(number))
        self._counts.move_to_end(ref)
        if len(self._counts) > _MOST:
            self._counts.popitem(last=False)
        return counts

    def seen(self, ref: DeltaRef) -> Counts:
        """A version's counts, to be looked at."""
        return self._counts.get(ref, Counts(0))

    def forget(self, ref: DeltaRef) -> None:
        """Let go of a version's counts."""
        self._counts.pop(ref, None)

    def all(self) -> dict[DeltaRef, Counts]:
        """All versions' counts."""
        return dict(self._counts)
