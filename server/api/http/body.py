"""Bodies: the JSON objects that clients send, all read in one place."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, TypeAlias, TypeVar, cast

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, FailFast, ValidationError, model_validator
from starlette.exceptions import HTTPException

from server.api.http.parsing import parse

T = TypeVar("T")


class _FailFast(FailFast):
    def __hash__(self) -> int:
        """Pydantic's own has none, and so could not be part of a union."""
        return hash(self.fail_fast)


Items: TypeAlias = Annotated[list[T], _FailFast()]
"""A list that is given up at its first wrong item: an error for each would take seconds."""


class Body(BaseModel):
    """A JSON object that a client sends, whose lists are Items; `"5"` is no number, 1 not true.

    A field of it that is null counts as absent.
    """

    model_config = ConfigDict(strict=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        found = cast("dict[str, Any]", value)
        return {key: each for key, each in found.items() if each is not None}


class ClosedBody(Body):
    """A part of a body that says what an answer is to be: a field that is not known is refused."""

    model_config = ConfigDict(extra="forbid")


B = TypeVar("B", bound=BaseModel)

_READ_AT_ONCE = 8 << 10
"""Bytes that are read sooner than another thread would take them up."""

_reader = ThreadPoolExecutor(1, thread_name_prefix="bodies")
"""Reads large bodies, one at a time: the event loop has its turn after each."""


async def read_body(http: Request, kind: type[B]) -> B:
    """Read a request's body as what it must be.

    Raises InvalidRequest for what is no sound JSON, RequestValidationError for what is no `kind`,
    HTTPException if the body is of another media type.
    """
    if not _is_json(http):
        raise HTTPException(
            415, "The body must be JSON, sent with the header 'Content-Type: application/json'."
        )
    data = await http.body()
    if len(data) <= _READ_AT_ONCE:
        return _read(data, kind)
    return await asyncio.get_running_loop().run_in_executor(_reader, _read, data, kind)


class BodyRoute(APIRoute):
    """A route whose body is read by `read_body`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What answers a request."""
        answer = super().get_route_handler()
        if self.body_field is None:
            return answer
        kind = cast("type[BaseModel]", self.body_field.field_info.annotation)

        async def read_and_answer(http: Request) -> Response:
            request = _ReadRequest(http.scope, http.receive)
            request.value = await read_body(request, kind)
            return await answer(request)

        return read_and_answer


class _ReadRequest(Request):
    """A request whose body has been read: FastAPI finds nothing left to parse or to validate."""

    value: BaseModel

    async def json(self) -> BaseModel:
        return self.value


def value_of(http: Request) -> BaseModel | None:
    """The body of a request to a BodyRoute, as the route will see it."""
    return http.value if isinstance(http, _ReadRequest) else None


def _read(data: bytes, kind: type[B]) -> B:
    value = parse(data)
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_url=False), body=value) from None


def _is_json(http: Request) -> bool:
    subtype = http.headers.get("content-type", "").partition(";")[0].strip().lower()
    return subtype == "application/json" or (
        subtype.startswith("application/") and subtype.endswith("+json")
    )
