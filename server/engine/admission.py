"""Admission: who may wait for a place, and who is told when to come again."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from collections.abc import Sequence as List

from deltas.delta import TaskType
from server.engine.event import Event, PromptJudged, Started, Token
from server.engine.forecast import Forecast
from server.engine.giving_way import giving_way
from server.engine.lengths import Lengths
from server.engine.limits import Limits
from server.engine.pace import Pace
from server.engine.request import Request
from server.engine.row import Party, Row
from server.engine.sequence import Key
from server.engine.turns import Weight, alike
from server.errors import InvalidRequest, QueueFull
from server.registry.version import Version

_LONGEST_PROMISE = 60.0
"""Seconds after which clients do not come again by themselves."""

_MAX_PARTIES = 1024


class Admission:
    """Keeps account of the engine's rows and decides about new ones; the event loop's alone.

    A free place is given at once. Else a row may wait if a place is expected for it within
    `max_wait` seconds, or if its party, its task and caller, has less than its share of places,
    which its tenant's `weight` decides about.
    Once `max_waiting` rows wait, who has fewer takes the place of the youngest request of who has
    most, tenants by `weight` first and then parties, whose id `displace` is told.
    """

    def __init__(
        self,
        limits: Limits,
        pace: Pace,
        displace: Callable[[str], None],
        weight: Weight = alike,
    ) -> None:
        self._limits = limits
        self._pace = pace
        self._displace = displace
        self._weight = weight
        self._lengths = Lengths()
        self._rows: dict[Key, Row] = {}
        self._forecast: Forecast | None = None
        self._promises: OrderedDict[Party, float] = OrderedDict()

    def take(self, request: Request, version: Version, context: int, *, stuck: bool) -> List[Key]:
        """Take a request's rows on; raises QueueFull saying when a place is expected.

        Raises InvalidRequest for more rows than there can ever be. The rows are `stuck` if a place
        alone would not let them run, `context` bounds their tokens. Only the first request of a
        call has to pass for a task.
        """
        party = Party(version.ref.task, request.call.caller, request.call.tenant)
        generates = version.type is TaskType.GENERATE
        count = request.sampling.rows if generates else 1
        if count > self._room:
            text = f"At most {self._room} sequences run and wait at once: ask for fewer choices."
            raise InvalidRequest(text, param="n")
        if party.task not in request.call.admitted:
            self._check_wait(party, request, count, stuck=stuck)
        self._make_room(party, count)
        request.call.admitted.add(party.task)
        most = min(request.sampling.max_tokens, context) if generates else 0
        keys = [(request.id, index) for index in range(count)]
        for key in keys:
            expected = self._lengths.draw(party.task, most)
            self._rows[key] = Row(version, party, request.size, most, expected)
        self._forecast = None
        return keys

    def read(self, keys: Iterable[Key], tokens: int) -> None:
        """Learn how many tokens the prompt of rows has; those no longer there are passed over."""
        for row in self._found(keys):
            row.prompt = tokens
        self._forecast = None

    def note(self, event: Event) -> None:
        """Learn what became of a row."""
        row = self._rows.get(event.key)
        if row is None:
            return
        self._forecast = None
        if isinstance(event, Token):
            row.tokens += 1
            if event.finish is not None:
                self.end(event.key)
        elif isinstance(event, Started):
            row.running = True
        elif not isinstance(event, PromptJudged):
            self.drop([event.key])

    def end(self, key: Key) -> None:
        """Let go of a row that wrote all it had to, and learn how much that was."""
        row = self._rows.pop(key, None)
        if row is not None:
            self._lengths.add(row.party.task, row.tokens, row.most)
            self._forecast = None

    def drop(self, keys: Iterable[Key]) -> None:
        """Let go of rows; those no longer there are passed over."""
        for key in keys:
            self._rows.pop(key, None)
        self._forecast = None

    def holds(self, keys: Iterable[Key]) -> bool:
        """Whether some of these rows are still there."""
        return any(True for _ in self._found(keys))

    def runs(self, keys: Iterable[Key]) -> bool:
        """Whether some of these rows have a place, or had one."""
        return any(row.running for row in self._found(keys))

    @property
    def rows(self) -> List[Row]:
        """All rows at this moment, oldest first."""
        return list(self._rows.values())

    @property
    def full(self) -> bool:
        """Whether every place has its row, so that a new one waits."""
        return len(self._rows) >= self._limits.max_sequences

    @property
    def wait(self) -> float:
        """Seconds until a place is expected for a task that has none."""
        return self._now.wait(Party("", ""))

    @property
    def _room(self) -> int:
        """How many rows there may be, with those that wait."""
        return self._limits.max_sequences + self._limits.max_waiting

    @property
    def _now(self) -> Forecast:
        if self._forecast is None:
            places = self._limits.max_sequences
            self._forecast = Forecast(self.rows, places, self._pace, self._weight)
        return self._forecast

    def _found(self, keys: Iterable[Key]) -> Iterable[Row]:
        return (self._rows[key] for key in keys if key in self._rows)

    def _check_wait(self, party: Party, request: Request, count: int, *, stuck: bool) -> None:
        forecast = self._now
        wait = forecast.wait(party, stuck=stuck)
        patience = request.call.patience
        # What is measured on an idle engine mends a wrong forecast: it takes what it gets.
        if patience is not None and not forecast.idle:
            first = forecast.first_token(party, request.size, stuck=stuck)
            if first > patience:
                raise self._refusal(
                    party,
                    first,
                    f"No answer is expected to begin within the {patience:.3g} s that you wait",
                )
        held = forecast.held(party)
        # Who has none begins with a request of any size: a share may be smaller than that.
        below = held + (count if held else 1) <= forecast.share(party)
        if wait > self._limits.max_wait and not below:
            text = f"No place is expected to be free within {self._limits.max_wait:g} s"
            raise self._refusal(party, wait, text)

    def _refusal(self, party: Party, wait: float, text: str) -> QueueFull:
        """Promise each who is refused a place of its own: together they would meet a full queue."""
        now = time.monotonic()
        at = max(now + wait, self._promises.pop(party, now))
        again = min(at - now, _LONGEST_PROMISE)
        self._promises[party] = min(at + self._now.interval(party), now + _LONGEST_PROMISE)
        if len(self._promises) > _MAX_PARTIES:
            self._promises.popitem(last=False)
        return QueueFull(f"{text}; try again in {again:.1f} s.", again)

    def _make_room(self, party: Party, count: int) -> None:
        excess = len(self._rows) + count - self._room
        if excess <= 0:
            return
        victims = giving_way(self._rows, party, count, excess, self._weight)
        if not victims:
            again = self._now.interval(party)
            raise QueueFull(f"{len(self._rows)} requests wait already; try again.", again)
        self.drop([key for key in self._rows if key[0] in victims])
        for victim in victims:
            self._displace(victim)
