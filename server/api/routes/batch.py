"""`/v1/infer/batch`: many requests of different tasks at once, each on its own."""

from typing import Annotated, Any, TypeAlias

from fastapi import APIRouter, Response
from fastapi import Request as HTTPRequest
from fastapi.exceptions import RequestValidationError
from pydantic import BeforeValidator, Field, ValidationError
from pydantic.json_schema import SkipJsonSchema

from server.api.caller import CallDep
from server.api.dependencies import EngineDep
from server.api.http.body import Body, BodyRoute, Items
from server.api.http.connection import while_connected
from server.api.http.identity import new_id
from server.api.http.problem import Problem
from server.api.inputs import MAX_BATCH
from server.api.routes.infer import InferAnswers, InferBody
from server.api.together import check_rows, results, together
from server.api.writing import json_response
from server.errors import InvalidRequest

router = APIRouter(route_class=BodyRoute, tags=["native"])


def _parsed(value: Any) -> InferBody | Problem:
    """A request, or why it is none: the others are not its concern."""
    try:
        body = InferBody.model_validate(value)
    except ValidationError as error:
        return Problem.of(RequestValidationError(error.errors(include_url=False), body=value))
    if body.stream:
        return Problem.of(InvalidRequest("A request in a batch cannot be streamed.", "stream"))
    return body


Element: TypeAlias = Annotated[InferBody | SkipJsonSchema[Problem], BeforeValidator(_parsed)]


class BatchBody(Body):
    """Requests as `/v1/infer` takes them, for one task each."""

    requests: Annotated[Items[Element], Field(min_length=1, max_length=MAX_BATCH)]


@router.post("/v1/infer/batch", response_model=InferAnswers)
async def infer_batch(
    body: BatchBody, http: HTTPRequest, engine: EngineDep, call: CallDep
) -> Response:
    """Answer many requests; each succeeds or fails by itself."""
    check_rows(sum(each.rows for each in body.requests if isinstance(each, InferBody)), "requests")
    name = new_id("batch")
    work = together(name, body.requests, engine, call)
    return json_response(results(name, await while_connected(http.receive, work)))
