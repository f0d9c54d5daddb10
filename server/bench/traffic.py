"""Whom the requests of a measurement ask."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

from server.bench.side import BASE


@dataclass(frozen=True)
class Traffic:
    """The `few` deltas of a mixed run; and `many`, if others are to be spread over more of them.

    `bare` says, in turn, which requests ask the bare base instead.
    """

    few: Sequence[str]
    many: Sequence[str] = ()
    bare: Sequence[bool] = (False,)

    def mixed(self, requests: int) -> list[str]:
        """The models of a run over the few."""
        return list(islice(self._models(self.few), requests))

    def spread(self, requests: int, run: int) -> list[str]:
        """The models of the `run`-th run over the many; none comes again before all others came."""
        start = run * requests
        return list(islice(self._models(self.many), start, start + requests))

    def _models(self, names: Sequence[str]) -> Iterator[str]:
        deltas = cycle(names)
        return (BASE if bare else next(deltas) for bare in cycle(self.bare))
