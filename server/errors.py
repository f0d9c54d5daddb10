"""Everything the server refuses to do, as one tree, which continues the library's.

PolydeltaError                  (deltas.errors, with its delta branch)
└── ServerError
    ├── RequestError            the caller can mend it
    │   ├── InvalidRequest      400  a field is wrong
    │   ├── Unauthorized        401  no API key, or none that is known
    │   ├── Forbidden           403  the key is not good for this
    │   ├── ContextLengthExceeded 400
    │   ├── CapabilityMismatch  400  the task does not do what was asked
    │   ├── TaskNotFound        404  names close matches
    │   │   └── ModelNotFound   404  the same, where tasks are called models
    │   ├── KeyNotFound         404  no API key is called so
    │   ├── Conflict            409  the name holds another delta
    │   ├── PreconditionFailed  412
    │   └── UnsignedDelta       400  the server takes signed deltas alone
    ├── Unavailable             trying again may help; carries `retry_after` in seconds
    │   ├── TooManyAttempts     429  too many wrong keys from one address
    │   ├── RateLimited         429  the tenant has used what it may have in a minute
    │   ├── QueueFull           429  no place is expected soon enough
    │   ├── Overloaded          503
    │   ├── DeadlineExceeded    504  its turn did not come within the time that its client gave
    │   ├── ShuttingDown        503
    │   ├── Aborted             503  an operator paused the server
    │   ├── DeltaUnavailable    503  its files could not be read
    │   ├── SourceUnavailable   502  where a delta is to come from does not give it
    │   └── RegistryUnavailable 503  the registry's database could not be used
    ├── InvalidSettings         what the server was told does not fit; it does not start
    ├── InvalidArchive          what is to be imported is no sound archive of a store
    ├── BaseNotFound            the base's weights are not here; it does not start
    ├── EngineDead              503  the server must be restarted
    ├── RowFailed               500  this request alone failed
    ├── InsufficientStorage     507
    └── InsufficientMemory      507
"""

from typing import ClassVar

from deltas.errors import PolydeltaError


class ServerError(PolydeltaError):
    """The server cannot answer; `status` is the HTTP status it maps to."""

    status: ClassVar[int] = 500


class RequestError(ServerError):
    """The caller can mend it; `param` names the field at fault, if one is."""

    status = 400
    code = "invalid_request"

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class InvalidRequest(RequestError):
    """A field of the request is wrong."""


class Unauthorized(RequestError):
    """No API key came, or none that may be used."""

    status = 401
    code = "invalid_api_key"


class Forbidden(RequestError):
    """The API key is not good for this."""

    status = 403
    code = "forbidden"


class ContextLengthExceeded(RequestError):
    """The input and the delta's virtual tokens do not fit the base's context."""

    code = "context_length_exceeded"


class CapabilityMismatch(RequestError):
    """The task does not do what was asked of it."""

    code = "capability_mismatch"


class TaskNotFound(RequestError):
    """No task has this name."""

    status = 404
    code = "task_not_found"


class ModelNotFound(TaskNotFound):
    """No task has the name that was given as a model's."""

    code = "model_not_found"


class KeyNotFound(RequestError):
    """No API key has this name."""

    status = 404
    code = "key_not_found"


class Conflict(RequestError):
    """The name holds another delta."""

    status = 409
    code = "conflict"


class PreconditionFailed(RequestError):
    """The task is not at the version that the caller believes."""

    status = 412
    code = "precondition_failed"


class UnsignedDelta(RequestError):
    """The delta is not signed as the server demands."""

    code = "unsigned_delta"


class Unavailable(ServerError):
    """Trying again after `retry_after` seconds may help."""

    status = 503
    code = "unavailable"
    retry_after: float = 1.0

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        if retry_after is not None:
            self.retry_after = retry_after


class TooManyAttempts(Unavailable):
    """Too many wrong API keys came from one address."""

    status = 429
    code = "too_many_attempts"


class RateLimited(Unavailable):
    """The caller's tenant has used what it may have in a minute."""

    status = 429
    code = "rate_limit_exceeded"


class QueueFull(Unavailable):
    """No place is expected soon enough, or too many requests wait already."""

    status = 429
    code = "queue_full"


class Overloaded(Unavailable):
    """Too many requests are open at once, of whatever sort."""

    code = "overloaded"


class DeadlineExceeded(Unavailable):
    """The request's turn did not come within the time that its client gave."""

    status = 504
    code = "deadline_exceeded"


class ShuttingDown(Unavailable):
    """The server is finishing what it has and takes nothing new."""

    code = "shutting_down"
    retry_after = 5


class Aborted(Unavailable):
    """The server was told to drop what was under way."""

    code = "aborted"


class DeltaUnavailable(Unavailable):
    """The task's files could not be read."""

    code = "delta_unavailable"
    retry_after = 5


class SourceUnavailable(Unavailable):
    """Where a delta is to come from does not give it, or not in time."""

    status = 502
    code = "source_unavailable"
    retry_after = 5


class RegistryUnavailable(Unavailable):
    """The registry's database could not be used; tasks are served as they are."""

    code = "registry_unavailable"
    retry_after = 5


class InvalidSettings(ServerError):
    """What the server was told does not fit; it does not start."""

    code = "invalid_settings"


class InvalidArchive(ServerError):
    """What is to be imported is no archive of a store, or not a sound one."""

    code = "invalid_archive"


class BaseNotFound(ServerError):
    """The base's weights are not here; the server does not start."""

    code = "base_not_found"


class EngineDead(ServerError):
    """The engine stopped on an error of its own; the server must be restarted."""

    status = 503
    code = "engine_dead"


class RowFailed(ServerError):
    """This request alone failed while it was computed."""

    code = "row_failed"

    @classmethod
    def of(cls, error: Exception) -> "RowFailed":
        """Name the error that met the request, without its text."""
        return cls(f"This request failed while it was computed ({type(error).__name__}).")


class InsufficientStorage(ServerError):
    """The store has no room for the delta."""

    status = 507
    code = "insufficient_storage"


class InsufficientMemory(ServerError):
    """The server has no memory left for the delta."""

    status = 507
    code = "insufficient_memory"
