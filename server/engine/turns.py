"""Turns: in which order those that wait are given places and rows."""

from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable
from typing import TypeAlias

from server.engine.sequence import Sequence

_AGEING = 8
"""Of so many places that others get, the next goes to the sequence that waits longest."""

_REMEMBERED = 1024
"""Tasks and callers whose last turn is known; whoever had none for longer has none any more."""

Weight: TypeAlias = Callable[[str], int]
"""A tenant's weight, 1 or more."""


def alike(_: str) -> int:
    """Gives all tenants the same weight."""
    return 1


class Turns:
    """Orders waiting sequences: by tenants' rows, then by turns of tasks and of their callers.

    Tenants are served rows in proportion to their weights while they wait: each has a count of
    its rows over its weight, and the lowest comes first. Who comes after a pause begins where the
    lowest of those that waited was, so that nobody saves up (the virtual token counter of Sheng
    et al., Fairness in Serving Large Language Models, OSDI 2024).
    """

    def __init__(self, weight: Weight = alike) -> None:
        self._weight = weight
        self._served: dict[str, float] = {}
        self._lowest = 0.0
        self._since_oldest = 0
        self._last: dict[Hashable, int] = {}
        self._taken = 0

    def order(self, waiting: deque[Sequence], running: Iterable[Sequence]) -> list[Sequence]:
        """Waiting sequences as places are to be given to them, of one caller the oldest first.

        Now and then the oldest of all is first, so that nobody waits for ever.
        """
        running = list(running)
        order = self._alternating(waiting, running, _party)
        order = self._alternating(order, running, _task)
        order = self._by_tenants(order)
        if self._since_oldest >= _AGEING:
            order.remove(waiting[0])
            order.insert(0, waiting[0])
        return order

    def take(self, sequence: Sequence, *, oldest: bool) -> None:
        """Note whose turn it is, and for how long it has not been the oldest's."""
        self._since_oldest = 0 if oldest else self._since_oldest + 1
        self._taken += 1
        for one in (_task(sequence), _party(sequence)):
            # Put last again: the first is then the one whose turn is longest ago.
            self._last.pop(one, None)
            self._last[one] = self._taken
        while len(self._last) > _REMEMBERED:
            del self._last[next(iter(self._last))]

    def charge(self, sequence: Sequence, rows: int) -> None:
        """Count rows of a step as its tenant's."""
        served = self._served.get(sequence.tenant, self._lowest)
        self._served[sequence.tenant] = served + rows / self._weight(sequence.tenant)

    def _alternating(
        self,
        waiting: Iterable[Sequence],
        running: Iterable[Sequence],
        whose: Callable[[Sequence], Hashable],
    ) -> list[Sequence]:
        """Let those whose sequences they are take turns, each keeping its own order.

        What one has running already counts as its turns, and what was preempted has had its own.
        Among equals comes first whose last turn is longest ago.
        """
        turns = Counter(map(whose, running))
        order: list[tuple[tuple[int, int], Sequence]] = []
        for sequence in waiting:
            one = whose(sequence)
            turn = -1 if sequence.preempted else turns[one]
            order.append(((turn, self._last.get(one, 0)), sequence))
            turns[one] += 1
        return [sequence for _, sequence in sorted(order, key=lambda pair: pair[0])]

    def _by_tenants(self, waiting: list[Sequence]) -> list[Sequence]:
        tenants = {sequence.tenant for sequence in waiting}
        served = {each: max(self._served.get(each, 0.0), self._lowest) for each in tenants}
        self._lowest = min(served.values())
        ahead = {each: rows for each, rows in self._served.items() if rows > self._lowest}
        self._served = ahead | served
        if len(tenants) == 1:
            return waiting
        order: list[tuple[float, Sequence]] = []
        for sequence in waiting:
            # Its rows were counted before it was preempted.
            order.append((-1.0 if sequence.preempted else served[sequence.tenant], sequence))
            served[sequence.tenant] += sequence.pending / self._weight(sequence.tenant)
        return [sequence for _, sequence in sorted(order, key=lambda pair: pair[0])]


def _task(sequence: Sequence) -> tuple[str, str]:
    return sequence.tenant, sequence.version.ref.task


def _party(sequence: Sequence) -> tuple[str, str, str]:
    return sequence.tenant, sequence.version.ref.task, sequence.caller
