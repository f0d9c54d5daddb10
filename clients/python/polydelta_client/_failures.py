"""From what went wrong on the wire to the error that the caller sees."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2

from ._decode import decode
from ._retries import may_retry, requested_wait
from .errors import (
    APIConnectionError,
    APIResponseError,
    APIStatusError,
    APIStreamError,
    APITimeoutError,
    PolydeltaError,
    class_for,
)

_EXCERPT = 200  # characters of an answer that is not the server's own, such as a proxy's page


@dataclass(frozen=True)
class _Fault:
    message: str
    code: str | None = None
    param: str | None = None
    status: int = 500


@dataclass(frozen=True)
class _Envelope:
    error: _Fault


@contextmanager
def translated(response: httpx2.Response | None = None) -> Generator[None]:
    """Raise the transport's errors as the client's own, naming the request where it has a name."""
    name = None if response is None else request_id(response)
    try:
        yield
    except PolydeltaError as error:
        error.request_id = name
        raise
    except httpx2.TimeoutException as error:
        message = f"timed out: {_describe(error)}"
        raise APITimeoutError(message, request_id=name, retryable=True) from error
    except (httpx2.SSEError, httpx2.DecodingError) as error:
        message = f"unexpected answer: {_describe(error)}"
        raise APIResponseError(message, request_id=name) from error
    except httpx2.RequestError as error:
        message = f"connection failed: {_describe(error)}"
        raise APIConnectionError(message, request_id=name, retryable=True) from error


def parsed(response: httpx2.Response) -> Any:
    """Return the JSON of a successful response that has been read."""
    try:
        return response.json()
    except ValueError:
        raise APIResponseError(
            f"the answer is not JSON: {response.text[:_EXCERPT]!r}",
            status=response.status_code,
            body=response.text,
        ) from None


def request_id(response: httpx2.Response) -> str | None:
    """Return the name by which the server's log knows the request."""
    return response.headers.get("x-request-id")


def status_error(response: httpx2.Response) -> APIStatusError:
    """Return the error for a response that has been read and whose status is not a success."""
    status = response.status_code
    try:
        body = response.json()
    except ValueError:
        body = response.text
    fault = _fault(body) or _Fault(f"{response.reason_phrase}: {response.text[:_EXCERPT]!r}")
    return class_for(status)(
        fault.message,
        status=status,
        code=fault.code,
        param=fault.param,
        body=body,
        retryable=may_retry(status, response.headers),
        retry_after=requested_wait(response.headers),
    )


def element_error(element: Any, request_id: str | None) -> APIStatusError | None:
    """Return the error that an element of a batch's answer holds, if it holds one."""
    fault = _fault(element)
    if fault is None:
        return None
    return class_for(fault.status)(
        fault.message,
        status=fault.status,
        code=fault.code,
        param=fault.param,
        request_id=request_id,
        body=element,
        retryable=may_retry(fault.status, {}),
    )


def stream_error(event: Any) -> APIStreamError | None:
    """Return the error that an event of a stream holds, if it holds one."""
    fault = _fault(event)
    if fault is None:
        return None
    return APIStreamError(fault.message, code=fault.code, param=fault.param, body=event)


def _fault(body: Any) -> _Fault | None:
    try:
        return decode(_Envelope, body).error
    except APIResponseError:
        return None


def _describe(error: Exception) -> str:
    return str(error) or type(error).__name__
