"""`/v1/infer/batch`: many requests of different tasks at once, each on its own."""

import asyncio
import logging
from dataclasses import dataclass, replace
from typing import Annotated, Any, TypeAlias

from fastapi import APIRouter, Response
from fastapi import Request as HTTPRequest
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, BeforeValidator, Field, ValidationError
from pydantic.json_schema import SkipJsonSchema

from deltas.errors import PolydeltaError
from server.api.answers import answering
from server.api.caller import CallDep
from server.api.dependencies import EngineDep
from server.api.http.body import Body, BodyRoute, Items
from server.api.http.connection import while_connected
from server.api.http.identity import new_id
from server.api.http.problem import ErrorBody, Problem
from server.api.inputs import MAX_BATCH
from server.api.routes.infer import InferAnswer, InferBody, answer_of
from server.api.writing import json_response
from server.engine.engine import Engine
from server.engine.request import Call
from server.errors import InvalidRequest

logger = logging.getLogger(__name__)

router = APIRouter(route_class=BodyRoute, tags=["native"])


@dataclass(frozen=True)
class Malformed:
    """An element of a batch that is no request; the others are not its concern."""

    problem: Problem


def _parsed(value: Any) -> InferBody | Malformed:
    try:
        body = InferBody.model_validate(value)
    except ValidationError as error:
        return Malformed(Problem.of(RequestValidationError(error.errors(include_url=False))))
    if body.stream:
        error = InvalidRequest("A request in a batch cannot be streamed.", "stream")
        return Malformed(Problem.of(error))
    return body


Element: TypeAlias = Annotated[InferBody | SkipJsonSchema[Malformed], BeforeValidator(_parsed)]


class BatchBody(Body):
    """Requests as `/v1/infer` takes them."""

    requests: Annotated[Items[Element], Field(min_length=1, max_length=MAX_BATCH)]


class ElementError(ErrorBody):
    """Why one request of a batch failed, with the status that it would have had alone."""

    status: int


class Failed(BaseModel):
    """Stands in the place of an answer."""

    error: ElementError

    @classmethod
    def of(cls, problem: Problem) -> "Failed":
        """Show a problem."""
        return cls(error=ElementError(status=problem.status, **problem.error.model_dump()))


class BatchAnswer(BaseModel):
    """The answers, in the order of the requests."""

    id: str
    results: list[InferAnswer | Failed]


@router.post("/v1/infer/batch", response_model=BatchAnswer)
async def infer_batch(
    body: BatchBody, http: HTTPRequest, engine: EngineDep, call: CallDep
) -> Response:
    """Answer many requests; each succeeds or fails by itself."""
    rows = sum(each.rows for each in body.requests if isinstance(each, InferBody))
    if rows > MAX_BATCH:
        message = f"The requests have {rows} inputs times n; at most {MAX_BATCH} are taken at once"
        raise InvalidRequest(f"{message}: split the batch.", "requests")
    name = new_id("batch")
    results = await while_connected(http.receive, _batch(name, body.requests, engine, call))
    return json_response(b'{"id":"%s","results":[%s]}' % (name.encode(), b",".join(results)))


async def _batch(name: str, elements: list[Element], engine: Engine, call: Call) -> list[bytes]:
    turns = asyncio.Lock()
    tasks: list[asyncio.Task[bytes]] = []
    async with asyncio.TaskGroup() as group:
        for i, element in enumerate(elements):
            work = _result(f"{name}-{i}", element, engine, call, turns)
            tasks.append(group.create_task(work))
            # Between two of them others have their turn.
            await asyncio.sleep(0)
    return [task.result() for task in tasks]


async def _result(
    name: str, element: Element, engine: Engine, call: Call, turns: asyncio.Lock
) -> bytes:
    if isinstance(element, Malformed):
        return _failed(element.problem)
    try:
        requests = [replace(request, call=call) for request in element.requests(name)]
        async with answering(engine, requests) as answers:
            outputs = await answers.outputs()
            # Many may end in one step: they are written one in each turn of the event loop.
            async with turns:
                await asyncio.sleep(0)
                return await answer_of(name, answers, outputs, element.parameters)
    except PolydeltaError as error:
        return _failed(Problem.of(error))
    except Exception as error:
        logger.exception("Request %s failed.", name)
        return _failed(Problem.of(error))


def _failed(problem: Problem) -> bytes:
    return Failed.of(problem).model_dump_json().encode()
