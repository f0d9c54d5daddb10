"""The answers under way: what the core's events come to, and what ends before its time."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from collections.abc import Sequence as List

from transformers import PreTrainedTokenizerFast

from deltas.errors import PolydeltaError
from server.engine.admission import Admission
from server.engine.answer import Answer
from server.engine.event import Event
from server.engine.observer import Observer
from server.engine.prompt import Prompt
from server.engine.request import Request
from server.engine.sequence import Key
from server.errors import DeadlineExceeded, QueueFull, RowFailed
from server.registry.lease import Lease

_log = logging.getLogger(__name__)

_AT_ONCE = 256
"""Events that answers handle before the loop gets to other work: some milliseconds of it."""


class Answers:
    """Every answer that was opened and has not ended; for one event loop.

    What is to be computed no more is told to `abort`, and what has ended to `ended`, both once
    the rows have lost their account in `admission`.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        admission: Admission,
        abort: Callable[[Iterable[Key]], None],
        ended: Callable[[Answer], None],
    ) -> None:
        self._tokenizer = tokenizer
        self._admission = admission
        self._abort = abort
        self._ended = ended
        self._open: dict[str, Answer] = {}
        # By request, so that none waits until all that another one has found is handled.
        self._coming: dict[str, deque[Event]] = {}
        self._deadlines: dict[str, asyncio.TimerHandle] = {}
        self._idle = asyncio.Event()
        self._idle.set()

    def __contains__(self, request: str) -> bool:
        return request in self._open

    async def all_ended(self) -> None:
        """Wait until there are none."""
        await self._idle.wait()

    def open(self, request: Request, lease: Lease, prompt: Prompt, observer: Observer) -> Answer:
        """Have the events for a request come to its answer, from now on until that is closed."""
        keeps = lease.shadowed
        answer = Answer(request, lease, prompt, self._tokenizer, observer, self._close, keeps=keeps)
        self._open[request.id] = answer
        self._idle.clear()
        return answer

    def deliver(self, events: List[Event]) -> None:
        """Hand a step's events to the answers that they belong to, in order for each of them.

        Of many, as when beams end, the loop gets to other work in between.
        """
        idle = not self._coming
        if idle and len(events) <= _AT_ONCE:
            self._handle(events)
            return
        for event in events:
            self._coming.setdefault(event.key[0], deque()).append(event)
        if idle:
            self._deliver_some()

    def _deliver_some(self) -> None:
        most = max(1, _AT_ONCE // len(self._coming))
        some: list[Event] = []
        for request, events in list(self._coming.items()):
            some += [events.popleft() for _ in range(min(most, len(events)))]
            if not events:
                del self._coming[request]
        if self._coming:
            asyncio.get_running_loop().call_soon(self._deliver_some)
        self._handle(some)

    def _handle(self, events: Iterable[Event]) -> None:
        aborts: list[Key] = []
        for event in events:
            answer = self._open.get(event.key[0])
            if answer is None:
                continue
            self._admission.note(event)
            try:
                if answer.handle(event):
                    self._admission.end(event.key)
                    aborts.append(event.key)
            except Exception as error:
                _log.exception("A row's answer could not be read.")
                answer.fail(RowFailed.of(error))
        self._abort(aborts)

    def expect(self, answer: Answer, patience: float | None) -> None:
        """Give an answer up that has not begun within so many seconds; one that has goes on."""
        if patience is not None:
            loop = asyncio.get_running_loop()
            self._deadlines[answer.id] = loop.call_later(patience, self._expire, answer)

    def displace(self, request: str) -> None:
        """Fail an answer whose place others are more entitled to, if it is open."""
        answer = self._open.get(request)
        if answer is not None:
            answer.fail(displaced())

    def fail(self, error: PolydeltaError) -> None:
        """End every answer with an error."""
        for answer in list(self._open.values()):
            answer.fail(error)

    def _expire(self, answer: Answer) -> None:
        if not self._admission.runs(answer.open_keys):
            answer.fail(too_late())

    def _close(self, answer: Answer) -> None:
        if self._open.pop(answer.id, None) is None:
            return
        if not self._open:
            self._idle.set()
        deadline = self._deadlines.pop(answer.id, None)
        if deadline is not None:
            deadline.cancel()
        keys = answer.keys
        self._admission.drop(keys)
        self._abort(keys)
        self._ended(answer)


def too_late() -> DeadlineExceeded:
    """What a request meets whose turn has not come in time."""
    return DeadlineExceeded("The request's turn did not come within the time that you gave it.")


def displaced() -> QueueFull:
    """What a request meets that gave its place in the queue to another."""
    return QueueFull("Too many requests wait, and others are more entitled; try again.")
