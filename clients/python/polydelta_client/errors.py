"""Everything that the client raises about a request.

PolydeltaError
├── APIConnectionError             the server was not reached, or the connection broke
│   └── APITimeoutError            ... or nothing came in time
├── APIResponseError               the answer is not one that Polydelta gives
├── APIStreamError                 the server reported an error inside a running stream
└── APIStatusError                 the server refused, or failed
    ├── BadRequestError            400
    ├── AuthenticationError        401
    ├── PermissionDeniedError      403
    ├── NotFoundError              404
    ├── ConflictError              409
    ├── PreconditionFailedError    412
    ├── PayloadTooLargeError       413
    ├── UnsupportedMediaTypeError  415
    ├── RateLimitError             429
    └── InternalServerError        500 and above

Mistakes that never reach the network are Python's own: ValueError, FileNotFoundError, ….
"""

from typing import Any


class PolydeltaError(Exception):
    """The root of the tree; an attribute is None where the failure has no such thing.

    `code` is the server's word for the fault (such as `task_not_found`), `param` the request field
    at fault, `body` the parsed answer (text where it was not JSON), `retryable` whether the same
    request may yet succeed, `retry_after` the wait in seconds that the server asked for.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        param: str | None = None,
        request_id: str | None = None,
        body: Any = None,
        retryable: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.param = param
        self.request_id = request_id
        self.body = body
        self.retryable = retryable
        self.retry_after = retry_after

    def __str__(self) -> str:
        labels = [str(label) for label in (self.status, self.code) if label is not None]
        if self.request_id is not None:
            labels.append(f"request {self.request_id}")
        return f"{self.message} [{', '.join(labels)}]" if labels else self.message


class APIConnectionError(PolydeltaError):
    """The server was not reached, or the connection broke before the answer was complete."""


class APITimeoutError(APIConnectionError):
    """The server took longer than the client's timeout."""


class APIResponseError(PolydeltaError):
    """The server answered with success, but not with what this client understands."""


class APIStreamError(PolydeltaError):
    """The server ended a running stream with an error."""


class APIStatusError(PolydeltaError):
    """The server answered with an error status."""


class BadRequestError(APIStatusError):
    """400: the request, or the delta that it brings, is not valid."""


class AuthenticationError(APIStatusError):
    """401: the API key is missing or wrong."""


class PermissionDeniedError(APIStatusError):
    """403: the API key does not allow this."""


class NotFoundError(APIStatusError):
    """404: no such task or version; the message names close matches."""


class ConflictError(APIStatusError):
    """409: the name is taken by something else."""


class PreconditionFailedError(APIStatusError):
    """412: the task has changed since the version given as `if_match`."""


class PayloadTooLargeError(APIStatusError):
    """413: the request is larger than the server takes."""


class UnsupportedMediaTypeError(APIStatusError):
    """415: the server does not read this kind of file."""


class RateLimitError(APIStatusError):
    """429: the server's queue is full."""


class InternalServerError(APIStatusError):
    """500 and above: the server failed, or cannot serve now."""


_BY_STATUS: dict[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    412: PreconditionFailedError,
    413: PayloadTooLargeError,
    415: UnsupportedMediaTypeError,
    429: RateLimitError,
}


def class_for(status: int) -> type[APIStatusError]:
    """Return the class of error that stands for an HTTP status."""
    return _BY_STATUS.get(status, InternalServerError if status >= 500 else APIStatusError)
