"""Answers: what a caller holds while its request is computed."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from types import TracebackType
from typing import Self

from transformers import PreTrainedTokenizerFast

from deltas.delta import TaskType
from deltas.errors import PolydeltaError
from server.engine.choice import Choice
from server.engine.event import Event, PromptJudged, Scores, Started, Token
from server.engine.observer import Observer
from server.engine.output import Output, Piece, Usage, generated_of
from server.engine.prompt import Prompt
from server.engine.reading import read_scores
from server.engine.request import Request
from server.engine.sequence import Key
from server.engine.shown_prompt import ShownPrompt
from server.engine.timeline import Timeline
from server.engine.token_texts import TokenTexts
from server.model.judge import Judged
from server.registry.registry import Lease
from server.registry.version import Version


class Answer:
    """One request under way.

    Iterate over it for pieces of generated text, or await `outputs` for everything at once.
    Leaving its context aborts what has not ended and frees all that the request holds. Once it has
    ended its `timeline` is there, the `error` that a choice ended with, if one did, and what was
    said if it `keeps` that.
    """

    def __init__(
        self,
        request: Request,
        lease: Lease,
        prompt: Prompt,
        tokenizer: PreTrainedTokenizerFast,
        observer: Observer,
        close: Callable[["Answer"], None],
        *,
        keeps: bool = False,
    ) -> None:
        self.id = request.id
        self.task = lease.task
        self.lease = lease
        self.timeline: Timeline | None = None
        self.error: PolydeltaError | None = None
        self.request = request
        self._prompt = prompt
        self._said: list[Piece | Output] | None = [] if keeps else None
        self._texts = TokenTexts.of(tokenizer)
        self._observer = observer
        self._close = close
        self._submitted = time.monotonic()
        self._cached: int | None = None
        self._started: float | None = None
        self._first: float | None = None
        self._judged: tuple[Judged, ...] = ()
        self._queue: asyncio.Queue[Piece | Output | PolydeltaError] = asyncio.Queue()
        count = request.sampling.n if self.generates else 1
        self._choices = [Choice(index, request, prompt, tokenizer) for index in range(count)]

    @property
    def version(self) -> Version:
        """The version of the task's delta that computes this answer, from its first row on."""
        return self.lease.version

    @property
    def generates(self) -> bool:
        """Whether the answer is text."""
        return self.version.type is TaskType.GENERATE

    @property
    def usage(self) -> Usage:
        """Tokens read and written so far."""
        most = self.request.sampling.max_tokens
        written = sum(min(choice.tokens, most) for choice in self._choices)
        return Usage(len(self._prompt.tokens), written, self._cached or 0)

    @property
    def prompt(self) -> ShownPrompt:
        """What was read, and how likely its tokens are as soon as that is known."""
        return ShownPrompt(self._prompt, self._texts, self._judged)

    @property
    def keys(self) -> list[Key]:
        """The keys of all choices, and of beams that are none."""
        rows = self.request.sampling.rows if self.generates else 1
        return [(self.id, index) for index in range(rows)]

    @property
    def open_keys(self) -> list[Key]:
        """The keys of the choices that have not ended."""
        choices = enumerate(self._choices)
        return [(self.id, index) for index, choice in choices if not choice.ended]

    async def __aiter__(self) -> AsyncIterator[Piece]:
        """Yield pieces of all choices as they come; raises the error that ends a choice."""
        finished = 0
        while finished < len(self._choices):
            piece = await self._next()
            if isinstance(piece, Piece):
                finished += piece.finish_reason is not None
                yield piece

    async def outputs(self) -> list[Output]:
        """Wait for the whole answer: one output a choice, or a head's one output."""
        if not self.generates:
            output = await self._next()
            return [] if isinstance(output, Piece) else [output]
        return self._joined([piece async for piece in self])

    @property
    def said(self) -> list[Output]:
        """What `outputs` gave, once the answer has ended well and if it keeps that."""
        said = self._said or []
        whole = [each for each in said if not isinstance(each, Piece)]
        return whole or self._joined(each for each in said if isinstance(each, Piece))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Abort what has not ended; closing again does nothing."""
        for index, choice in enumerate(self._choices):
            if not choice.ended:
                self._end(index, "abort")
        self._close(self)

    def fail(self, error: PolydeltaError) -> None:
        """End every open choice with an error."""
        self.error = error
        for _, index in self.open_keys:
            self._end(index, "error")
        self._queue.put_nowait(error)

    def handle(self, event: Event) -> bool:
        """Take one of the core's events; returns True if the choice must be aborted there."""
        index = event.key[1]
        if index >= len(self._choices):
            return False
        choice = self._choices[index]
        if choice.ended:
            return False
        if isinstance(event, Token):
            return self._handle_token(index, choice, event)
        if isinstance(event, Started):
            # What later choices or fresh starts find is this answer's own work.
            self._cached = event.cached if self._cached is None else self._cached
            now = time.monotonic()
            self._started = now if self._started is None else self._started
            self._observer.started(now - self._submitted)
        elif isinstance(event, PromptJudged):
            self._judged = event.judged
        elif isinstance(event, Scores):
            function = self.request.score_function
            self._say(read_scores(event.values, self.version, self._prompt, function))
            self._end(index, "stop")
        else:
            self.error = event.error
            self._end(index, "error")
            self._queue.put_nowait(event.error)
        return False

    def _say(self, said: Piece | Output) -> None:
        self._queue.put_nowait(said)
        if self._said is not None:
            self._said.append(said)

    def _joined(self, pieces: Iterable[Piece]) -> list[Output]:
        parts: list[list[Piece]] = [[] for _ in self._choices]
        for piece in pieces:
            parts[piece.index].append(piece)
        wanted = self.request.sampling.logprobs is not None
        return [generated_of(each, logprobs=wanted) for each in parts if each]

    async def _next(self) -> Piece | Output:
        item = await self._queue.get()
        if isinstance(item, PolydeltaError):
            raise item
        return item

    def _handle_token(self, index: int, choice: Choice, event: Token) -> bool:
        self._observe(choice)
        piece = choice.push(event)
        if piece is None:
            return False
        self._say(piece)
        if piece.finish_reason is None:
            return False
        self._end(index, piece.finish_reason)
        return event.finish is None

    def _observe(self, choice: Choice) -> None:
        now = time.monotonic()
        if choice.last is None:
            self._first = now if self._first is None else self._first
            self._observer.first_token(now - self._submitted)
        else:
            self._observer.next_token(now - choice.last)
        choice.last = now

    def _end(self, index: int, reason: str) -> None:
        choice = self._choices[index]
        choice.ended = True
        elapsed = time.monotonic() - self._submitted
        self._observer.finished(str(self.task), reason, elapsed, choice.tokens)
        if not self.open_keys:
            self.timeline = self._timeline(reason)
            self._observer.ended(self.timeline)
            self._close(self)

    def _timeline(self, reason: str) -> Timeline:
        usage = self.usage
        return Timeline(
            request=self.id,
            ref=self.version.ref,
            trace=self.request.call.trace,
            submitted=self._submitted,
            started=self._started,
            first=self._first,
            ended=time.monotonic(),
            reason=reason,
            prompt_tokens=usage.prompt_tokens,
            cached_tokens=usage.cached_tokens,
            tokens=usage.completion_tokens,
            tenant=self.request.call.tenant,
        )
