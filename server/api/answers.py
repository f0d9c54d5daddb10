"""Answers: what the engine gives to the inputs of one HTTP request."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from itertools import chain
from typing import Annotated, TypeAlias

from fastapi import Depends
from fastapi import Request as HTTPRequest

from server.api.caller import CallDep
from server.api.dependencies import EngineDep
from server.api.http.connection import while_connected
from server.api.inputs import MAX_BATCH
from server.engine.answer import Answer
from server.engine.engine import Engine
from server.engine.output import Generated, Output, Piece, Usage
from server.engine.request import Request
from server.engine.shown_prompt import ShownPrompt
from server.engine.start import Start
from server.errors import InvalidRequest
from server.registry.lease import Lease
from server.registry.names import TaskName
from server.registry.version import Version


@dataclass(frozen=True)
class Answers:
    """Answers to inputs, in order, with `choices` texts each where a task generates."""

    items: tuple[Answer, ...]
    choices: int

    @property
    def task(self) -> str:
        """The task that answers, the first if there are several."""
        return self.items[0].task.name

    @property
    def version(self) -> Version:
        """The version of that task."""
        return self.items[0].version

    @property
    def usage(self) -> Usage:
        """Tokens so far, over all inputs."""
        return sum((item.usage for item in self.items), Usage(0))

    @property
    def judged(self) -> int:
        """How many tokens of prompts have log-probabilities, the likeliest beside them included."""
        prompts = (item.prompt.judged for item in self.items)
        return sum(1 + len(each.top) for judged in prompts for each in judged)

    def prompt(self, index: int) -> ShownPrompt:
        """What output `index` answers."""
        return self.items[index // self.choices].prompt

    async def outputs(self) -> list[Output]:
        """Wait for all outputs: the inputs' in order, and each input's choices in order."""
        # The engine works on all of them already: waiting in turn loses nothing.
        return list(chain.from_iterable([await item.outputs() for item in self.items]))

    async def texts(self) -> list[Generated]:
        """Wait for all texts of a task that generates."""
        return [output for output in await self.outputs() if isinstance(output, Generated)]

    async def pieces(self) -> AsyncIterator[Piece]:
        """Yield text as it comes, numbered by input and then by choice."""
        async for place, piece in _merged(self.items):
            yield replace(piece, index=place * self.choices + piece.index)


async def embedded(engine: Engine, requests: Sequence[Request]) -> tuple[list[Output], int]:
    """Answer more requests than are taken at once, each task by one version, in turns.

    Returns the outputs in order and how many tokens were read. What comes after the first turn has
    begun to be answered: a deadline does not end it.
    """
    outputs: list[Output] = []
    tokens = 0
    async with AsyncExitStack() as stack:
        leases = await _leased(engine, requests, stack)
        for first in range(0, len(requests), MAX_BATCH):
            asked = requests[first : first + MAX_BATCH]
            if first:
                call = replace(asked[0].call, deadline=None)
                asked = [replace(request, call=call) for request in asked]
            start = engine.start_of(1) if len(leases) > 1 else None
            async with AsyncExitStack() as turn:
                answers = await _submitted(turn, engine, asked, leases, start)
                if start is not None:
                    start.ready()
                outputs += await answers.outputs()
                tokens += answers.usage.prompt_tokens
    return outputs, tokens


async def _leased(
    engine: Engine, requests: Sequence[Request], stack: AsyncExitStack
) -> dict[TaskName, list[Lease]]:
    """A lease for each request, of one version of each task; leaving the stack releases them."""
    leases: dict[TaskName, list[Lease]] = {}
    for task, count in Counter(request.asked for request in requests).items():
        leases[task] = await engine.finder.leases(task, count, requests[0].call)
        for lease in leases[task]:
            stack.callback(lease.release)
    return leases


async def _submitted(
    stack: AsyncExitStack,
    engine: Engine,
    requests: Sequence[Request],
    leases: dict[TaskName, list[Lease]],
    start: Start | None,
) -> Answers:
    """Submit requests, each by one of its task's leases; leaving the stack aborts them."""
    items = [
        await stack.enter_async_context(
            await engine.submit(request, leases[request.asked].pop(), start)
        )
        for request in requests
    ]
    return Answers(tuple(items), requests[0].sampling.n)


@asynccontextmanager
async def answering(
    engine: Engine, requests: Sequence[Request], start: Start | None = None
) -> AsyncGenerator[Answers]:
    """Submit requests to one version of each of their tasks; leaving aborts what is unfinished.

    Their rows begin with others where there is a `start`.
    Raises InvalidRequest for more outputs than one request may ask for.
    """
    if len(requests) * requests[0].sampling.rows > MAX_BATCH:
        text = f"At most {MAX_BATCH} inputs, times n or num_beams, are taken at once."
        raise InvalidRequest(text, "input")
    async with AsyncExitStack() as stack:
        leases = await _leased(engine, requests, stack)
        yield await _submitted(stack, engine, requests, leases, start)


Submit: TypeAlias = Callable[[Sequence[Request]], Awaitable[Answers]]


async def _submit(http: HTTPRequest, engine: EngineDep, call: CallDep) -> AsyncIterator[Submit]:
    async with AsyncExitStack() as stack:

        async def submit(requests: Sequence[Request]) -> Answers:
            asked = [replace(request, call=call) for request in requests]
            return await while_connected(http.receive, _together(stack, engine, asked))

        yield submit


async def _together(stack: AsyncExitStack, engine: Engine, requests: Sequence[Request]) -> Answers:
    """Submit requests; the rows of several tasks begin together, if that makes one step of them."""
    start = engine.start_of(1) if len({request.task for request in requests}) > 1 else None
    answers = await stack.enter_async_context(answering(engine, requests, start))
    if start is not None:
        start.ready()
    return answers


SubmitDep: TypeAlias = Annotated[Submit, Depends(_submit)]
"""Submits requests to the engine, and aborts what is unfinished when the response has ended."""


async def _merged(answers: Sequence[Answer]) -> AsyncIterator[tuple[int, Piece]]:
    if len(answers) == 1:
        async for piece in answers[0]:
            yield 0, piece
        return
    streams = [aiter(answer) for answer in answers]
    waiting = {asyncio.ensure_future(anext(stream)): i for i, stream in enumerate(streams)}
    try:
        while waiting:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                place = waiting.pop(task)
                if isinstance(task.exception(), StopAsyncIteration):
                    continue
                yield place, task.result()
                waiting[asyncio.ensure_future(anext(streams[place]))] = place
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
