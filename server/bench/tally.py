"""Tallies: what came of the attempts of a load, of which a server refuses some."""

import time
from dataclasses import dataclass, field

from server.bench.completion import Timing


@dataclass
class Tally:
    """The admitted and how many were refused; `returned` came again when they were told to.

    `welcome` counts those of them who were admitted then.
    """

    timings: list[Timing] = field(default_factory=list[Timing])
    refused: int = 0
    returned: int = 0
    welcome: int = 0
    begun: float = field(default_factory=time.perf_counter)
    ended: float = 0.0

    def add(self, timing: Timing | None, *, returned: bool) -> None:
        """Count an attempt; there is no timing of one that was refused."""
        self.ended = time.perf_counter()
        self.returned += returned
        if timing is None:
            self.refused += 1
        else:
            self.welcome += returned
            self.timings.append(timing)

    @property
    def throughput(self) -> float:
        """Output tokens a second."""
        return sum(timing.tokens for timing in self.timings) / (self.ended - self.begun)
