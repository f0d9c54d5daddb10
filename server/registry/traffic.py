"""Traffic: how a task's requests are shared among its versions, and which one answers unseen."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from secrets import token_hex

_BITS = 52
"""Of a hash, so many make a float without rounding."""


@dataclass(frozen=True, slots=True)
class Bound:
    """More errors than a version may make: a share of at least so many requests in a window.

    `errors` is a share, 0 to 1; `window` is in seconds.
    """

    errors: float
    window: float = 60.0
    requests: int = 20


@dataclass(frozen=True, slots=True)
class StepBack:
    """That a version lost the share it had, when, in seconds since the epoch, and why."""

    share: int
    at: float
    reason: str


@dataclass(frozen=True, slots=True)
class Traffic:
    """Who answers requests that name no version; versions are meant by their numbers.

    `shares` are weights, of which each version gets its part; without any the active one answers.
    What `shadow` answers is compared and not shown. A version beyond the `bound` loses its share,
    which `stepped_back` then tells.
    """

    shares: Mapping[int, int] = field(default_factory=dict[int, int])
    shadow: int | None = None
    bound: Bound | None = None
    stepped_back: Mapping[int, StepBack] = field(default_factory=dict[int, StepBack])

    @property
    def numbers(self) -> frozenset[int]:
        """The versions that are needed for it."""
        return frozenset(self.shares).union(() if self.shadow is None else (self.shadow,))

    def without(self, number: int, why: StepBack) -> "Traffic":
        """Take its share from a version."""
        return replace(
            self,
            shares={**self.shares, number: 0},
            stepped_back={**self.stepped_back, number: why},
        )

    def among(self, numbers: Iterable[int]) -> "Traffic":
        """What is left of it where only these versions are there."""
        there = set(numbers)
        return replace(
            self,
            shares={number: share for number, share in self.shares.items() if number in there},
            shadow=self.shadow if self.shadow in there else None,
        )


def drawn(shares: Mapping[str, int], key: str) -> str | None:
    """Draw one of some names by their shares, the same one for a key each time.

    Weighted rendezvous hashing: whatever becomes of the shares, a key moves to a name whose part
    grows, or away from one whose part shrinks. None where no name has a share.
    """
    key = key or token_hex(8)
    races = ((-math.log(_unit(name, key)) / share, name) for name, share in shares.items() if share)
    return min(races, default=(0.0, None))[1]


def _unit(name: str, key: str) -> float:
    """A number in (0, 1), as good as random."""
    # Neither names nor digests have a line's end in them, so that no other pair reads the same.
    read = blake2b(f"{name}\n{key}".encode(errors="surrogatepass"), digest_size=8).digest()
    return ((int.from_bytes(read) >> (64 - _BITS)) + 0.5) / (1 << _BITS)
