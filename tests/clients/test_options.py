"""How a call is made: keywords, timeouts, headers, and clients with other options."""

from collections.abc import Callable
from typing import Any

import pytest

from polydelta_client import APITimeoutError, BadRequestError, Polydelta
from tests.server.api.live import wait_until

from .answers import health, inference, task
from .server import Reply, ScriptedServer, answer, problem

SPAM = {"label": "spam", "score": 0.9, "scores": {"spam": 0.9, "ham": 0.1}}


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.infer("spam", "text", max_token=3),
        lambda client: list(client.stream("spam", "text", max_token=3)),
        lambda client: client.infer_many([("spam", "text", {"max_token": 3})]),
        lambda client: list(client.infer_each([("spam", "text", {"max_token": 3})])),
        lambda client: client.infer("spam", "text", max_token=3, timeout=1),
    ],
)
def test_an_unknown_keyword_names_the_one_that_was_meant(
    call: Callable[[Polydelta], Any], client: Polydelta, server: ScriptedServer
) -> None:
    with pytest.raises(TypeError, match="unknown keyword 'max_token'; did you mean 'max_tokens'"):
        call(client)
    assert server.received == []


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.health(max_tokens=1),
        lambda client: client.tasks.list(verbose=True),
        lambda client: client.with_options(colour="red"),
    ],
)
def test_an_unknown_option_names_those_that_there_are(
    call: Callable[[Polydelta], Any], client: Polydelta
) -> None:
    with pytest.raises(TypeError, match="there are extra_headers, max_retries, timeout"):
        call(client)


def test_a_call_has_a_timeout_of_its_own(client: Polydelta, server: ScriptedServer) -> None:
    server.script(Reply([], hangs=True), Reply([], hangs=True))
    with pytest.raises(APITimeoutError):
        client.infer("spam", "text", timeout=0.5, max_retries=0)
    # A busy server may not have read it by then.
    wait_until(lambda: bool(server.received))
    with pytest.raises(APITimeoutError):
        client.tasks.get("spam", timeout=0.5, max_retries=0)
    assert server.received[0].json["parameters"] == {}


def test_a_call_has_headers_of_its_own(client: Polydelta, server: ScriptedServer) -> None:
    server.script(answer(inference(SPAM)), answer(inference(SPAM)))
    client.infer("spam", "text", extra_headers={"Prefer": "wait=10", "User-Agent": "mine"})
    client.infer("spam", "text")
    first, second = (received.headers for received in server.received)
    assert (first["prefer"], first["user-agent"]) == ("wait=10", "mine")
    assert "prefer" not in second


def test_a_client_with_other_options_shares_the_connections(
    client: Polydelta, server: ScriptedServer
) -> None:
    server.script(answer(health()), problem(503, "busy", "later"), answer(task("spam")))
    other = client.with_options(max_retries=0, extra_headers={"x-mine": "1"})
    client.health()
    with pytest.raises(Exception, match="later"):
        other.health()
    other.tasks.get("spam")
    assert len({received.port for received in server.received}) == 1
    assert [received.headers.get("x-mine") for received in server.received] == [None, "1", "1"]


def test_a_good_answer_has_the_name_of_its_request(
    client: Polydelta, server: ScriptedServer
) -> None:
    server.script(answer(inference(SPAM)), answer(task("spam")), answer(health()))
    server.script(answer({"results": [inference(SPAM)]}))
    assert client.infer("spam", "text").request_id == "req-1"
    assert client.tasks.get("spam").request_id == "req-1"
    assert client.health().request_id == "req-1"
    assert [result.request_id for result in client.infer_many([("spam", "text")])] == ["req-1"]


def test_any_request_and_its_answer_as_it_is(client: Polydelta, server: ScriptedServer) -> None:
    server.script(problem(503, "busy", "later", retry_after="0"), answer({"count": 3}, x_mine="1"))
    response = client.request("POST", "/tokenize", json={"prompt": "text"}, timeout=9)
    assert (response.status_code, response.json()) == (200, {"count": 3})
    assert (response.headers["x-request-id"], response.headers["x-mine"]) == ("req-1", "1")
    assert server.received[1].json == {"prompt": "text"}
    server.script(problem(400, "invalid_request", "no"))
    with pytest.raises(BadRequestError):
        client.request("GET", "/v1/models")
    with pytest.raises(ValueError, match="a path begins with /"):
        client.request("GET", "v1/models")
