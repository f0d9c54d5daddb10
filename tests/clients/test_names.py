"""The public names, which users rely on."""

import inspect
from importlib.metadata import requires, version

import pytest

import polydelta_client
from polydelta_client import AsyncPolydelta, AsyncStream, Polydelta, Stream
from polydelta_client.keys import AsyncKeys, Keys
from polydelta_client.tasks import AsyncTasks, Tasks
from polydelta_client.tenants import AsyncTenants, Tenants

EXPORTED = """
__version__ Alternative APIConnectionError APIResponseError APIStatusError APIStreamError
APITimeoutError AsyncPolydelta AsyncStream AuthenticationError BadRequestError BatchRequest
CalledFunction CallOptions Change ChosenToken Classification Compared ConflictError Embedding Entity
FunctionPiece Generation Health Inference InferOptions Input InternalServerError Key KnownKey
LastError Limits MadeKey Message Model NotFoundError Output Parameters ParsedInference
PayloadTooLargeError PermissionDeniedError Piece Polydelta PolydeltaError PreconditionFailedError
RateLimitError Seconds Sharing Source StepBack SteppedBack Stream Tagging Task Tenant ToolCall
ToolCallPiece Traffic Transfer UnsupportedMediaTypeError Usage Version
"""


def test_exported_names() -> None:
    assert sorted(polydelta_client.__all__) == sorted(EXPORTED.split())
    assert all(hasattr(polydelta_client, name) for name in EXPORTED.split())


def test_the_distribution() -> None:
    assert version("polydelta-client") == polydelta_client.__version__
    assert requires("polydelta-client") == ["httpx2<3,>=2.16"]


@pytest.mark.parametrize(
    ("blocking", "awaiting"),
    [
        (Polydelta, AsyncPolydelta),
        (Tasks, AsyncTasks),
        (Keys, AsyncKeys),
        (Tenants, AsyncTenants),
        (Stream, AsyncStream),
    ],
)
def test_both_clients_have_the_same_methods(blocking: type, awaiting: type) -> None:
    assert _signatures(blocking) == _signatures(awaiting)


def _signatures(client: type) -> dict[str, list[str]]:
    methods = inspect.getmembers(client, inspect.isfunction)
    return {
        name: [str(parameter) for parameter in inspect.signature(method).parameters.values()]
        for name, method in methods
        if not name.startswith("_")
    }
