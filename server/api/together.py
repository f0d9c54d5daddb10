"""Together: requests of different tasks answered at once, each on its own."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Protocol

from pydantic import BaseModel

from deltas.errors import PolydeltaError
from server.api.answers import Answers, answering
from server.api.http.problem import ErrorBody, Problem
from server.api.inputs import MAX_BATCH
from server.engine.engine import Engine
from server.engine.output import Output
from server.engine.request import Call, Request
from server.engine.start import Start
from server.errors import InvalidRequest

logger = logging.getLogger(__name__)


class Asked(Protocol):
    """A request for one task, and how it shows what it is answered."""

    def requests(self, request_id: str) -> list[Request]:
        """What the engine is asked."""
        ...

    async def answer(self, name: str, answers: Answers, outputs: list[Output]) -> bytes:
        """The answer as JSON."""
        ...


class ElementError(ErrorBody):
    """Why one request of several failed, with the status that it would have had alone."""

    status: int


class Failed(BaseModel):
    """Stands in the place of an answer."""

    error: ElementError

    @classmethod
    def of(cls, problem: Problem) -> "Failed":
        """Show a problem."""
        return cls(error=ElementError(status=problem.status, **problem.error.model_dump()))


def check_rows(rows: int, param: str) -> None:
    """Raise InvalidRequest for more inputs times n than one request may have."""
    if rows > MAX_BATCH:
        text = f"The requests have {rows} inputs times n; at most {MAX_BATCH} are taken at once"
        raise InvalidRequest(f"{text}: split the batch.", param)


def results(name: str, answers: Iterable[bytes]) -> bytes:
    """Put answers together in one."""
    return b'{"id":"%s","results":[%s]}' % (name.encode(), b",".join(answers))


async def together(
    name: str, elements: Sequence[Asked | Problem], engine: Engine, call: Call
) -> list[bytes]:
    """Answer requests, in their order; each succeeds or fails by itself.

    An encoder begins with all of them in one step.
    """
    turns = asyncio.Lock()
    start = engine.start_of(len(elements))
    tasks: list[asyncio.Task[bytes]] = []
    async with asyncio.TaskGroup() as group:
        for i, element in enumerate(elements):
            work = _result(f"{name}-{i}", element, engine, call, start, turns)
            tasks.append(group.create_task(work))
            # Between two of them others have their turn.
            await asyncio.sleep(0)
    return [task.result() for task in tasks]


async def _result(
    name: str,
    element: Asked | Problem,
    engine: Engine,
    call: Call,
    start: Start | None,
    turns: asyncio.Lock,
) -> bytes:
    if isinstance(element, Problem):
        _ready(start)
        return _failed(element)
    try:
        async with _begun(name, element, engine, call, start) as answers:
            outputs = await answers.outputs()
            # Many may end in one step: they are written one in each turn of the event loop.
            async with turns:
                await asyncio.sleep(0)
                return await element.answer(name, answers, outputs)
    except PolydeltaError as error:
        problem = Problem.of(error)
    except Exception as error:
        logger.exception("Request %s failed.", name)
        problem = Problem.of(error)
    # So may many fail at once.
    async with turns:
        await asyncio.sleep(0)
        return _failed(problem)


@asynccontextmanager
async def _begun(
    name: str, element: Asked, engine: Engine, call: Call, start: Start | None
) -> AsyncGenerator[Answers]:
    """Submit a request; whatever becomes of that, the others need not wait for it."""
    async with AsyncExitStack() as stack:
        try:
            requests = [replace(request, call=call) for request in element.requests(name)]
            answers = await stack.enter_async_context(answering(engine, requests, start))
        finally:
            _ready(start)
        yield answers


def _ready(start: Start | None) -> None:
    if start is not None:
        start.ready()


def _failed(problem: Problem) -> bytes:
    return Failed.of(problem).model_dump_json().encode()
