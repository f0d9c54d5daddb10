"""The one tree of errors."""

import pickle
import socket

import pytest

from polydelta_client import (
    APIConnectionError,
    APIResponseError,
    APIStatusError,
    APITimeoutError,
    InternalServerError,
    NotFoundError,
    Polydelta,
    PolydeltaError,
    errors,
)

from .conftest import Connect
from .server import Reply, ScriptedServer, answer, problem


def test_an_error_carries_what_the_server_said(client: Polydelta, server: ScriptedServer) -> None:
    server.script(problem(404, "task_not_found", "no task 'spma'; there is 'spam'"))
    with pytest.raises(NotFoundError) as caught:
        client.infer("spma", "text")
    error = caught.value
    assert (error.status, error.code, error.param) == (404, "task_not_found", "task")
    assert (error.message, error.request_id) == ("no task 'spma'; there is 'spam'", "req-1")
    assert error.body["title"] == "task_not_found"
    assert str(error) == "no task 'spma'; there is 'spam' [404, task_not_found, request req-1]"


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "BadRequestError"),
        (401, "AuthenticationError"),
        (403, "PermissionDeniedError"),
        (404, "NotFoundError"),
        (409, "ConflictError"),
        (412, "PreconditionFailedError"),
        (413, "PayloadTooLargeError"),
        (415, "UnsupportedMediaTypeError"),
        (418, "APIStatusError"),
        (429, "RateLimitError"),
        (500, "InternalServerError"),
        (507, "InternalServerError"),
    ],
)
def test_every_status_has_its_class(
    status: int, name: str, connect: Connect, server: ScriptedServer
) -> None:
    server.script(problem(status, "some_code", "some reason"))
    with pytest.raises(APIStatusError) as caught:
        connect(max_retries=0).tasks.get("spam")
    assert type(caught.value).__name__ == name


def test_an_error_page_of_a_proxy(connect: Connect, server: ScriptedServer) -> None:
    server.script(Reply([b"<html>upstream is gone</html>"], 502, {"content-type": "text/html"}))
    with pytest.raises(InternalServerError, match="upstream is gone") as caught:
        connect(max_retries=0).health()
    assert caught.value.body == "<html>upstream is gone</html>"
    assert caught.value.code is None


@pytest.mark.parametrize("body", [b"<html>Welcome", b'{"tasks": {}}', b"[]", b'{"tasks": [{}]}'])
def test_a_success_that_is_not_of_this_server(
    body: bytes, client: Polydelta, server: ScriptedServer
) -> None:
    server.script(Reply([body], headers={"x-request-id": "req-2"}))
    with pytest.raises(APIResponseError) as caught:
        client.tasks.list()
    assert caught.value.request_id == "req-2"
    assert len(server.received) == 1


def test_a_body_that_does_not_decompress(client: Polydelta, server: ScriptedServer) -> None:
    server.script(Reply([b"not gzip"], headers={"content-encoding": "gzip"}))
    with pytest.raises(APIResponseError):
        client.tasks.list()


def test_nobody_listens(connect: Connect) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        client = connect(base_url=f"http://127.0.0.1:{held.getsockname()[1]}", max_retries=0)
        with pytest.raises(APIConnectionError) as caught:
            client.models()
    assert caught.value.status is None


def test_a_server_that_says_nothing(connect: Connect, server: ScriptedServer) -> None:
    server.script(Reply([], hangs=True))
    with pytest.raises(APITimeoutError):
        connect(timeout=0.2, max_retries=0).models()


def test_the_tree_is_drawn_as_it_is() -> None:
    _, tree, _ = (errors.__doc__ or "").split("\n\n")
    drawn = [line.lstrip("│├└─ ").split()[0] for line in tree.splitlines()]
    built = {name for name, value in vars(errors).items() if isinstance(value, type)} - {"Any"}
    assert set(drawn) == built
    assert all(issubclass(getattr(errors, name), PolydeltaError) for name in built)


def test_errors_survive_a_process_boundary() -> None:
    error = NotFoundError("no such task", status=404, code="task_not_found")
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.status, copy.code) == (str(error), 404, "task_not_found")


def test_problem_bodies_without_the_expected_members(
    client: Polydelta, server: ScriptedServer
) -> None:
    server.script(answer({"error": "plain words"}, 400))
    with pytest.raises(APIStatusError, match="plain words") as caught:
        client.models()
    assert caught.value.body == {"error": "plain words"}
