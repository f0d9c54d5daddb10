"""Forecasts: when a place will be free, by the rows that are there and the pace of the core."""

import heapq
from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from itertools import islice
from typing import TypeVar

from server.engine.pace import Pace
from server.engine.row import Party, Row
from server.engine.turns import Weight, alike

Group = TypeVar("Group", bound=Hashable)


class Forecast:
    """What is expected of an engine's rows at one moment, with room for `places` running at once.

    Rows wait in the order in which the scheduler takes them: tenants by `weight`, of one tenant
    tasks take turns, and within a task its callers; what somebody has running counts as turns
    already had.
    """

    def __init__(
        self, rows: Iterable[Row], places: int, pace: Pace, weight: Weight = alike
    ) -> None:
        self._places = places
        self._pace = pace
        self._rows = sorted(rows, key=lambda row: not row.running)
        self._running = Counter(row.party for row in self._rows if row.running)
        self._waiting = Counter(row.party for row in self._rows if not row.running)
        self._weight = weight
        self._task_running = _summed(self._running, _task)
        self._task_waiting = _summed(self._waiting, _task)
        self._tenant_running = _summed(self._running, _tenant)
        self._tenant_waiting = _summed(self._waiting, _tenant)
        holding = self._rows[: max(places, 1)]
        self._ends, self._backlog = _ends(holding, pace)
        self._mean_prompt = _mean(row.prompt for row in holding)
        self._mean_tokens = _mean(row.expected for row in holding)

    @property
    def idle(self) -> bool:
        """Whether there are no rows at all."""
        return not self._rows

    def wait(self, party: Party, *, stuck: bool = False) -> float:
        """Seconds until a new row of a party gets a place.

        `stuck` rows lack more than a place, which only the end of a running row gives them.
        """
        running = self._running.total()
        free = 0 if stuck and running else self._places - running
        behind = self._rank(party) - free
        if behind < 0:
            return 0.0
        ends = list(islice(self._ends, running)) if stuck and running else list(self._ends)
        heapq.heapify(ends)
        for _ in range(behind):
            heapq.heapreplace(ends, ends[0] + self._duration)
        return max(ends[0], self._prefill(behind))

    def first_token(self, party: Party, prompt: int, *, stuck: bool = False) -> float:
        """Seconds until a new row of a party has read a prompt of so many tokens."""
        wait = self.wait(party, stuck=stuck)
        return max(wait, self._prefill(0)) + prompt * self._pace.row

    def interval(self, party: Party) -> float:
        """Seconds from one place that falls to a party to its next."""
        return self._duration / max(1.0, self.share(party))

    def share(self, party: Party) -> float:
        """The places that are a party's by right.

        Its tenant's, by weight; of these its task's, as many as another's; of these as many as
        another caller's.
        """
        parties = {*self._running, *self._waiting, party}
        tenants = {each.tenant for each in parties}
        tasks = {each.task for each in parties if each.tenant == party.tenant}
        callers = sum(_task(each) == _task(party) for each in parties)
        places = self._places * self._weight(party.tenant) / sum(map(self._weight, tenants))
        return places / len(tasks) / callers

    def held(self, party: Party) -> int:
        """How many rows a party has, running or waiting."""
        return self._running[party] + self._waiting[party]

    @property
    def _duration(self) -> float:
        """Seconds for which a row has its place."""
        return self._mean_tokens * self._pace.step + self._mean_prompt * self._pace.row

    def _prefill(self, behind: int) -> float:
        """Seconds for the prompts that are before a row which waits behind so many others."""
        return self._backlog + behind * self._mean_prompt * self._pace.row

    def _rank(self, party: Party) -> int:
        """How many of the rows that wait come before a new one of a party."""
        task = _task(party)
        within = sum(
            _before(self.held(party), self._running[other], count)
            for other, count in self._waiting.items()
            if _task(other) == task
        )
        turn = self._task_running[task] + within
        within += sum(
            _before(turn, self._task_running[other], count)
            for other, count in self._task_waiting.items()
            if other != task and other[0] == party.tenant
        )
        turn = self._tenant_running[party.tenant] + within
        weight = self._weight(party.tenant)
        return within + sum(
            _before(turn * self._weight(other) // weight, self._tenant_running[other], count)
            for other, count in self._tenant_waiting.items()
            if other != party.tenant
        )


def _before(turn: int, running: int, waiting: int) -> int:
    """How many of the rows that somebody has waiting come no later than a turn."""
    return min(max(turn - running + 1, 0), waiting)


def _task(party: Party) -> tuple[str, str]:
    return party.tenant, party.task


def _tenant(party: Party) -> str:
    return party.tenant


def _summed(parties: Counter[Party], whose: Callable[[Party], Group]) -> Counter[Group]:
    found: Counter[Group] = Counter()
    for party, count in parties.items():
        found[whose(party)] += count
    return found


def _ends(rows: Iterable[Row], pace: Pace) -> tuple[list[float], float]:
    """When each row ends, in seconds, and when all of their prompts are read."""
    ends: list[float] = []
    backlog = 0.0
    for row in rows:
        # Prompts are read one after another, tokens written side by side.
        backlog += 0 if row.tokens else row.prompt * pace.row
        ends.append((0 if row.tokens else backlog) + row.left * pace.step)
    return ends, backlog


def _mean(values: Iterable[int]) -> float:
    numbers = list(values)
    return sum(numbers) / len(numbers) if numbers else 0.0
