"""The slope of samples over time, by least squares, and how sure it is."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

_STRETCHES = 20
_SURE = 2.1
"""Standard errors within which 19 of 20 slopes of 20 points lie that are 0 in truth."""


@dataclass(frozen=True)
class Slope:
    """How much samples grow in a unit of time, with its standard error."""

    value: float
    error: float

    @classmethod
    def of(cls, times: Sequence[float], samples: Sequence[float]) -> "Slope":
        """Fit the means of a few stretches: neighbouring samples hardly differ, so that each counts
        for little.
        """
        x, y = _means(times), _means(samples)
        line = statistics.linear_regression(x, y)
        rest = sum(
            (b - line.slope * a - line.intercept) ** 2 for a, b in zip(x, y, strict=True)
        ) / (len(x) - 2)
        middle = statistics.mean(x)
        return cls(line.slope, math.sqrt(rest / sum((a - middle) ** 2 for a in x)))

    @property
    def grows(self) -> bool:
        """Whether it is above 0 by more than noise."""
        return self.value > _SURE * self.error


def _means(samples: Sequence[float]) -> list[float]:
    edges = [len(samples) * number // _STRETCHES for number in range(_STRETCHES + 1)]
    return [statistics.mean(samples[a:b]) for a, b in pairwise(edges) if b > a]
