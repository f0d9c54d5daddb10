"""Python client for Polydelta: one frozen base model, many tasks, switched per request."""

from ._version import __version__
from .access import Change, Key
from .async_client import AsyncPolydelta
from .async_streaming import AsyncStream
from .client import Polydelta
from .errors import (
    APIConnectionError,
    APIResponseError,
    APIStatusError,
    APIStreamError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    InternalServerError,
    NotFoundError,
    PayloadTooLargeError,
    PermissionDeniedError,
    PolydeltaError,
    PreconditionFailedError,
    RateLimitError,
    UnsupportedMediaTypeError,
)
from .inference import Inference, ParsedInference
from .inputs import BatchRequest, CallOptions, InferOptions, Input, Message, Parameters, Source
from .outputs import (
    Alternative,
    ChosenToken,
    Classification,
    Embedding,
    Entity,
    Generation,
    Output,
    Piece,
    Tagging,
    Usage,
)
from .served import Health, LastError, Model, Task, Version
from .streaming import Stream
from .tool_calls import CalledFunction, FunctionPiece, ToolCall, ToolCallPiece
from .traffic import Compared, Seconds, Sharing, StepBack, SteppedBack, Traffic

__all__ = [
    "APIConnectionError",
    "APIResponseError",
    "APIStatusError",
    "APIStreamError",
    "APITimeoutError",
    "Alternative",
    "AsyncPolydelta",
    "AsyncStream",
    "AuthenticationError",
    "BadRequestError",
    "BatchRequest",
    "CallOptions",
    "CalledFunction",
    "Change",
    "ChosenToken",
    "Classification",
    "Compared",
    "ConflictError",
    "Embedding",
    "Entity",
    "FunctionPiece",
    "Generation",
    "Health",
    "InferOptions",
    "Inference",
    "Input",
    "InternalServerError",
    "Key",
    "LastError",
    "Message",
    "Model",
    "NotFoundError",
    "Output",
    "Parameters",
    "ParsedInference",
    "PayloadTooLargeError",
    "PermissionDeniedError",
    "Piece",
    "Polydelta",
    "PolydeltaError",
    "PreconditionFailedError",
    "RateLimitError",
    "Seconds",
    "Sharing",
    "Source",
    "StepBack",
    "SteppedBack",
    "Stream",
    "Tagging",
    "Task",
    "ToolCall",
    "ToolCallPiece",
    "Traffic",
    "UnsupportedMediaTypeError",
    "Usage",
    "Version",
    "__version__",
]
