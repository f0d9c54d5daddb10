"""Problems: every refusal as one body that is both RFC 9457 and OpenAI's."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from math import ceil

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from deltas.errors import DeltaError, PolydeltaError, UnsafeDelta
from server.api.http.faults import told
from server.errors import (
    Conflict,
    InvalidRequest,
    RequestError,
    ServerError,
    Unauthorized,
    Unavailable,
)
from server.metrics.snapshot import FailureBody
from server.registry.names import NAME_RULE

logger = logging.getLogger(__name__)

CLIENT_CLOSED_REQUEST = 499
MEDIA_TYPE = "application/problem+json"
UNFORESEEN = "internal_error"

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_HTTP_CODES = {
    400: "invalid_request",
    403: "cross_origin",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "payload_too_large",
    415: "unsupported_media_type",
    421: "misdirected_request",
    431: "headers_too_large",
}
_HTTP_TEXTS = {
    404: "There is no such route; /docs lists those there are. Names in a path hold no '/'.",
    405: "This route does not take this method.",
}


class ErrorBody(BaseModel):
    """What OpenAI's clients read of an error."""

    message: str
    type: str
    param: str | None
    code: str


class ProblemBody(BaseModel):
    """The body of every error response (RFC 9457), with OpenAI's `error` in it."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    error: ErrorBody


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a request is refused, before it is put on the wire."""

    status: int
    code: str
    message: str
    param: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def of(cls, error: Exception) -> "Problem":
        """Describe an error to the outside; one that nobody foresaw keeps its text to itself."""
        problem = _describe(error)
        # A text may quote a file's name, which need not be UTF-8; the response must be.
        written = problem.message.encode(errors="backslashreplace").decode()
        return replace(problem, message=written)

    @property
    def error(self) -> ErrorBody:
        """The part that OpenAI's clients read, which also stands alone in streams and batches."""
        return ErrorBody(
            message=self.message, type=_openai_type(self.status), param=self.param, code=self.code
        )

    def response(self, request_id: str) -> JSONResponse:
        """The whole HTTP response."""
        body = ProblemBody(
            type=f"urn:polydelta:error:{self.code}",
            title=HTTPStatus(self.status).phrase,
            status=self.status,
            detail=self.message,
            instance=f"urn:polydelta:request:{request_id}",
            error=self.error,
        )
        headers = {**self.headers, "x-request-id": request_id}
        return JSONResponse(body.model_dump(), self.status, headers, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Answer every error of an application's routes with a problem."""
    for kind in (PolydeltaError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, _respond)
    app.add_exception_handler(ClientDisconnect, _close)


def _respond(request: Request, error: Exception) -> Response:
    problem = Problem.of(error)
    if problem.code == UNFORESEEN:
        logger.error("Request %s failed: %s.", request.state.request_id, type(error).__name__)
    if problem.code == _HTTP_CODES[404] and b"%2f" in request.scope["raw_path"].lower():
        problem = Problem.of(InvalidRequest(NAME_RULE, "name"))
    if problem.status == HTTPStatus.METHOD_NOT_ALLOWED:
        problem = replace(problem, headers={"allow": ", ".join(_methods(request))})
    _remember(request, problem)
    return problem.response(request.state.request_id)


def _remember(request: Request, problem: Problem) -> None:
    # Neither the path nor the message: both may name what is another caller's.
    route = request.scope.get("route")
    failure = FailureBody(
        time=time.time(),
        status=problem.status,
        code=problem.code,
        route=f"{request.method} {getattr(route, 'path', '(no route)')}",
        request_id=request.state.request_id,
    )
    request.app.state.metrics.failed(failure)


def _methods(request: Request) -> list[str]:
    """The methods of all routes with a request's path; Starlette names those of the first."""
    routes = request.app.router.routes

    def taken(method: str) -> bool:
        scope = {**request.scope, "method": method}
        return any(route.matches(scope)[0] is Match.FULL for route in routes)

    return [method for method in _METHODS if taken(method)]


def _close(request: Request, error: Exception) -> Response:
    """Nobody reads this: the client has gone."""
    del request, error
    return Response(status_code=CLIENT_CLOSED_REQUEST)


def _describe(error: Exception) -> Problem:
    if isinstance(error, PolydeltaError):
        return _of_ours(error)
    if isinstance(error, RequestValidationError):
        return _of_validation(error)
    if isinstance(error, HTTPException):
        code = _HTTP_CODES.get(error.status_code, "invalid_request")
        text = _HTTP_TEXTS.get(error.status_code, error.detail)
        return Problem(error.status_code, code, text, headers=error.headers or {})
    return Problem(500, UNFORESEEN, "The server failed on this request; its log says why.")


def _of_ours(error: PolydeltaError) -> Problem:
    status, param, headers = 500, None, dict[str, str]()
    if isinstance(error, ServerError):
        status = error.status
    elif isinstance(error, DeltaError):
        status = 415 if isinstance(error, UnsafeDelta) else 400
    if isinstance(error, RequestError):
        param = error.param
    if isinstance(error, Unavailable):
        # Whole seconds are the standard's; OpenAI's clients and ours read milliseconds first.
        headers["retry-after"] = str(max(1, ceil(error.retry_after)))
        headers["retry-after-ms"] = str(ceil(error.retry_after * 1e3))
    if isinstance(error, Unauthorized):
        headers["www-authenticate"] = "Bearer"
    if isinstance(error, Conflict):
        # OpenAI's clients repeat a 409 unless told not to.
        headers["x-should-retry"] = "false"
    return Problem(status, error.code, str(error), param, headers)


def _of_validation(error: RequestValidationError) -> Problem:
    message, place = told(error)
    return Problem(400, "invalid_request", message, place)


def _openai_type(status: int) -> str:
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return "rate_limit_error"
    return "invalid_request_error" if status < 500 else "server_error"
