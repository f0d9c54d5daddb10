"""The core: decides a step, computes it and reports what came of it."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Sequence as List
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TypeAlias

import torch
from torch import Tensor

from deltas.errors import PolydeltaError
from server.engine.beams import Branching, separate
from server.engine.blocks import BlockPool
from server.engine.event import Event, Failed, PromptJudged, Scores, Started, Token
from server.engine.matcher import Matcher
from server.engine.output import FinishReason
from server.engine.pace import Pace
from server.engine.picks import pick
from server.engine.residency import Residency
from server.engine.scheduler import Scheduled, Scheduler
from server.engine.sequence import Beams, Key, Sequence
from server.engine.step_times import StepTimes
from server.errors import InvalidRequest, RowFailed
from server.model.cache import BLOCK
from server.model.judge import Judged
from server.model.rules import TokenMask
from server.model.runner import Forward, Runner
from server.model.sampler import Chosen, Lack

_log = logging.getLogger(__name__)

Allow: TypeAlias = Callable[[List[Matcher]], Future[list[TokenMask]]]
"""Begins to find, for each of some texts, the tokens that its grammar allows next."""

Deliver: TypeAlias = Callable[[List[Event]], None]


class EngineCore:
    """Does steps on one thread; everything else speaks to it through its inbox.

    `deliver` gets a step's events at once, on the step's thread. Ringing `bell` tells that there
    may be something to compute. `allow` finds which tokens grammars allow next while the step
    computes.
    """

    def __init__(
        self,
        runner: Runner,
        residency: Residency,
        scheduler: Scheduler,
        context: int,
        bell: threading.Event,
        allow: Allow,
        deliver: Deliver,
    ) -> None:
        self.residency = residency
        self.scheduler = scheduler
        self.pace = Pace()
        self.times = StepTimes()
        self._runner = runner
        self._context = context
        self._bell = bell
        self._allow = allow
        self._deliver = deliver
        self._end_tokens = runner.base.end_tokens
        pool = scheduler.blocks or BlockPool(0, BLOCK)
        self._branching = Branching(pool, runner.copy, self._end_tokens)
        self._events: list[Event] = []
        self._sequences: dict[Key, Sequence] = {}
        self._inbox: SimpleQueue[Sequence | Key] = SimpleQueue()

    def submit(self, sequences: Iterable[Sequence]) -> None:
        """Hand over new sequences."""
        self._tell(sequences)

    def abort(self, keys: Iterable[Key]) -> None:
        """Drop sequences before the next step; unknown and ended ones are ignored."""
        self._tell(keys)

    def step(self) -> bool:
        """Do one step; returns False if there was nothing to compute."""
        self._bell.clear()
        began, forward = time.monotonic(), self.times.forward
        self._drain()
        scheduled = self.scheduler.schedule()
        for sequence, error in self.scheduler.take_failed():
            self._fail(sequence, error)
        decided = time.monotonic()
        rows = sum(one.rows + one.sequence.unread for one in scheduled)
        prompts = sum(one.sequence.prompt_rows(one.rows) for one in scheduled)
        self._compute(scheduled)
        computed = time.monotonic()
        if scheduled:
            self.pace.took(computed - decided, rows, len(scheduled))
        events, self._events = self._events, []
        if events:
            self._deliver(events)
        if scheduled:
            times = self.times
            took = times.forward - forward
            times.steps += 1
            times.schedule += decided - began
            times.prompts += took * prompts / rows
            times.choose += computed - decided - took
            times.deliver += time.monotonic() - computed
        return bool(scheduled)

    def _tell(self, news: Iterable[Sequence | Key]) -> None:
        for item in news:
            self._inbox.put(item)
        self._bell.set()

    def _drain(self) -> None:
        while not self._inbox.empty():
            news = self._inbox.get()
            if isinstance(news, Sequence):
                self._sequences[news.key] = news
                self.scheduler.add(news)
                if not news.is_base:
                    self.residency.prefetch(news.version.ref)
            elif news in self._sequences:
                self._end(self._sequences[news])

    def _compute(self, scheduled: List[Scheduled]) -> None:
        self._events += _started(scheduled)
        masks = self._masks(scheduled)
        logits: list[Tensor] = []
        writers: list[Sequence] = []
        for part, forward in self._forward(scheduled):
            logits.append(forward.logits)
            for index, one in enumerate(part):
                sequence = one.sequence
                sequence.advance(one.rows)
                self._judge(sequence, forward.judged.get(index, ()))
                if index in forward.hidden:
                    self._read(sequence, forward.hidden[index])
                elif sequence.pending:
                    self.scheduler.publish(sequence)
                else:
                    writers.append(sequence)
        # The matchers are the other thread's until this returns.
        found = masks()
        if writers:
            others, rest, searched = separate(writers, torch.cat(logits))
            self._write(others, rest, found)
            for beams in searched:
                self._search(beams)

    def _masks(self, scheduled: List[Scheduled]) -> Callable[[], Mapping[Key, TokenMask]]:
        """Begin to find what grammars allow rows that will have logits; call it for what it is."""
        matchers = {
            one.sequence.key: one.sequence.matcher
            for one in scheduled
            if one.sequence.matcher is not None and one.rows == one.sequence.pending
        }
        if not matchers:
            return dict
        found = self._allow([*matchers.values()])
        return lambda: dict(zip(matchers, found.result(), strict=True))

    def _forward(self, scheduled: List[Scheduled]) -> Iterator[tuple[List[Scheduled], Forward]]:
        """Run a step; if it crashes, halve it until the row at fault stands alone and fails."""
        if not scheduled:
            return
        began = time.monotonic()
        try:
            forward = self._runner.forward([one.sequence.item(one.rows) for one in scheduled])
        except Exception as error:
            if len(scheduled) == 1:
                self._crashed(scheduled[0].sequence, error)
                return
            middle = len(scheduled) // 2
            yield from self._forward(scheduled[:middle])
            # A beam that failed has ended those beside it.
            rest = [one for one in scheduled[middle:] if one.sequence.slot is not None]
            yield from self._forward(rest)
        else:
            self.times.forward += time.monotonic() - began
            yield scheduled, forward

    def _read(self, sequence: Sequence, hidden: Tensor) -> None:
        """Collect a head's hidden states and answer once they are all there."""
        sequence.hidden.append(hidden)
        if sequence.pending or sequence.slot is None:
            return
        try:
            scores = self._runner.scores(sequence.slot, torch.cat(sequence.hidden))
        except Exception as error:
            self._crashed(sequence, error)
            return
        if scores is None or not torch.isfinite(scores).all():
            self._fail(sequence, RowFailed("The task's head gave no finite answer to this input."))
            return
        self._events.append(Scores(sequence.key, scores.cpu()))
        self._end(sequence)

    def _judge(self, sequence: Sequence, judged: List[Judged]) -> None:
        """Collect how likely a prompt's tokens are and tell it once all are there."""
        sequence.judged.extend(judged)
        if judged and len(sequence.judged) == sequence.prompt - sequence.extent.rows - 1:
            self._events.append(PromptJudged(sequence.key, tuple(sequence.judged)))

    def _write(
        self, sequences: List[Sequence], logits: Tensor, masks: Mapping[Key, TokenMask]
    ) -> None:
        try:
            picks = pick(sequences, logits, masks, self._context)
        except Exception as error:
            if len(sequences) == 1:
                self._crashed(sequences[0], error)
                return
            for index, sequence in enumerate(sequences):
                self._write([sequence], logits[index : index + 1], masks)
            return
        for sequence, found in zip(sequences, picks, strict=True):
            self._append(sequence, found)

    def _search(self, beams: Beams) -> None:
        """Let beams go on, or end with the texts that they have found."""
        first = beams.sequences[0]
        for each in beams.sequences:
            if not each.idle:
                self.scheduler.publish(each)
        try:
            found = self._branching.advance(beams, self._context)
        except Exception as error:
            self._crashed(first, error)
            return
        if isinstance(found, Lack):
            self._fail(first, _error_of(found))
            return
        if found is not None:
            self._events += self._branching.tokens_of(found, first)
            self._end(first)

    def _append(self, sequence: Sequence, found: Chosen | Lack) -> None:
        matcher = sequence.matcher
        if matcher is not None and isinstance(found, Chosen):
            matcher.take(found.token)
        if matcher is not None and (error := matcher.error):
            self._fail(sequence, error)
            return
        if isinstance(found, Lack):
            self._fail(sequence, _error_of(found))
            return
        self.scheduler.publish(sequence)
        if self._goes_on(sequence, found):
            all(self._goes_on(sequence, Chosen(token)) for token in sequence.forced)

    def _goes_on(self, sequence: Sequence, chosen: Chosen) -> bool:
        """Append a token; returns whether others may follow."""
        sequence.tokens.append(chosen.token)
        finish, silent = self._finish(sequence, chosen.token)
        self._events.append(Token(sequence.key, chosen, finish, silent))
        if finish:
            self._end(sequence)
        return finish is None

    def _finish(self, sequence: Sequence, token: int) -> tuple[FinishReason | None, bool]:
        sampling = sequence.sampling
        if not sampling.max_tokens:
            return "length", True
        ended = sequence.matcher is not None and sequence.matcher.ended
        ends = token in self._end_tokens and (ended or not sampling.ignore_eos)
        # What had to end in time was cut short, though its form is whole.
        reason = "length" if sequence.hurried else "stop"
        if ends or token in sampling.stop_token_ids:
            return reason, True
        if ended:
            return reason, False
        if sequence.room(self._context) <= 0:
            return "length", False
        return None, False

    def _end(self, sequence: Sequence) -> None:
        self._sequences.pop(sequence.key, None)
        self.scheduler.end(sequence)

    def _fail(self, sequence: Sequence, error: PolydeltaError) -> None:
        self._events.append(Failed(sequence.key, error))
        self.scheduler.disown(sequence)
        self._end(sequence)

    def _crashed(self, sequence: Sequence, error: Exception) -> None:
        if isinstance(error, torch.AcceleratorError):
            # No fault of the row's: the device computes nothing any more in this process.
            raise error
        _log.error("A row failed.", exc_info=error)
        if not sequence.is_base:
            self.residency.blame(sequence.version.ref)
        self._fail(sequence, RowFailed.of(error))


def _started(scheduled: Iterable[Scheduled]) -> Iterator[Started]:
    for one in scheduled:
        sequence, (request, index) = one.sequence, one.sequence.key
        if sequence.computed == sequence.reused and not sequence.preempted:
            for at, _ in enumerate(sequence.together):
                yield Started((request, index + at), sequence.cached_tokens)


def _error_of(lack: Lack) -> PolydeltaError:
    if lack is Lack.FINITE:
        return RowFailed("The base gave no finite answer to this input.")
    if lack is Lack.TEXTS:
        return InvalidRequest(
            "What the request allows leaves fewer texts than n; ask for fewer, or allow more.",
            param="n",
        )
    return InvalidRequest(
        "What the request allows, forbids and holds back leaves no token that may come next; "
        "ask for less of these at once."
    )
