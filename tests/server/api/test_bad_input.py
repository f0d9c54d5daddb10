import json
import socket
from typing import Any

import pytest

from server.api import messages
from server.api.http import limits, patience, protocol
from tests.server.api.live import PATIENCE, Live
from tests.server.api.problems import SECRET, check

INFER = "/v1/infer"
CHAT = "/v1/chat/completions"


def valid(path: str) -> dict[str, Any]:
    if path == INFER:
        return {"task": "base", "input": SECRET}
    return {"model": "base", "messages": [{"role": "user", "content": SECRET}]}


@pytest.mark.parametrize(
    ("path", "changes", "param"),
    [
        (INFER, {"parameters": {"n": 10**9}}, "parameters.n"),
        (INFER, {"parameters": {"n": 0}}, "parameters.n"),
        (INFER, {"parameters": {"max_tokens": 10**12}}, "parameters.max_tokens"),
        (INFER, {"parameters": {"max_tokens": 0}}, "parameters.max_tokens"),
        (INFER, {"parameters": {"min_tokens": 9, "max_tokens": 8}}, "min_tokens"),
        (INFER, {"parameters": {"logprobs": 21}}, "parameters.logprobs"),
        (INFER, {"parameters": {"stop": ["x"] * 9}}, "parameters.stop"),
        (INFER, {"parameters": {"stop": [""]}}, "parameters.stop.0"),
        (INFER, {"parameters": {"temperature": float("nan")}}, "parameters.temperature"),
        (INFER, {"parameters": {"top_p": 0}}, "parameters.top_p"),
        (INFER, {"parameters": {"seed": 1 << 80}}, "parameters.seed"),
        (INFER, {"parameters": {"top": 1 << 64}}, "parameters.top"),
        (INFER, {"parameters": 3}, "parameters"),
        (INFER, {"input": []}, "input"),
        (INFER, {"input": 7}, "input"),
        (INFER, {"input": ["x"] * 257}, "input"),
        (INFER, {"input": ["x"] * 129, "parameters": {"n": 2}}, "input"),
        (INFER, {"input": ["x", 3]}, "input.1"),
        (INFER, {"input": "x" * (messages.MAX_CHARACTERS + 1)}, "input"),
        (INFER, {"input": "\ud800"}, "input"),
        (INFER, {"input": [{"role": "wizard", "content": SECRET}]}, "input.0.role"),
        (INFER, {"input": [{"role": "user", "content": [{"type": "image"}]}]}, None),
        (INFER, {"task": None}, "task"),
        (INFER, {"cache_salt": ""}, "cache_salt"),
        (INFER, {"cache_salt": "x" * 129}, "cache_salt"),
        (INFER, {"cache_salt": "\ud800"}, "cache_salt"),
        (CHAT, {"cache_salt": 7}, "cache_salt"),
        (CHAT, {"messages": []}, "messages"),
        (CHAT, {"top_logprobs": 2}, None),
        (CHAT, {"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        (CHAT, {"logit_bias": {"5": 101}}, "logit_bias.5"),
        (CHAT, {"tools": [{"type": "function"}]}, "tools.0.function"),
        (CHAT, {"response_format": {"type": "xml"}}, "response_format"),
        (CHAT, {"n": 17}, "n"),
    ],
)
def test_fields_out_of_bounds_are_named(
    live: Live, path: str, changes: dict[str, Any], param: str | None
):
    body = json.dumps({**valid(path), **changes})
    response = live.http.post(path, content=body, headers={"content-type": "application/json"})
    if param is None:
        param = response.json()["error"]["param"]
    check(response, 400, "invalid_request", param)


@pytest.mark.parametrize("body", ["", "{", "[1, 2", '{"task": 1' + "0" * 5000 + "}", "[" * 100_000])
def test_what_is_no_json_is_refused(live: Live, body: str):
    headers = {"content-type": "application/json"}
    response = live.http.post(INFER, content=body, headers=headers)
    check(response, 400, "invalid_request")


def test_other_media_types_and_encodings_are_refused(live: Live):
    body = json.dumps(valid(INFER))
    for headers in (
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/json", "content-encoding": "gzip"},
    ):
        response = live.http.post(INFER, content=body, headers=headers)
        check(response, 415, "unsupported_media_type")


def test_large_bodies_are_refused_however_they_come(live: Live):
    size = limits.MAX_JSON_BYTES + 1
    headers = {"content-type": "application/json"}
    whole = live.http.post(INFER, content=b" " * size, headers=headers)
    check(whole, 413, "payload_too_large")
    pieces = (b" " * (size // 8) for _ in range(9))
    check(live.http.post(INFER, content=pieces, headers=headers), 413, "payload_too_large")
    form = {"content-type": "multipart/form-data; boundary=b"}
    check(live.http.post(INFER, content=b" " * size, headers=form), 413, "payload_too_large")


def test_routes_and_methods_that_are_not_there(live: Live):
    check(live.http.get("/v1/nothing"), 404, "not_found")
    check(live.http.get("/v1/tasks/", headers={"host": "x"}), 404, "not_found")
    response = live.http.put(INFER)
    check(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "POST"
    for method in ("OPTIONS", "PATCH"):
        response = live.http.request(method, "/v1/tasks/lora")
        check(response, 405, "method_not_allowed")
        assert response.headers["allow"] == "GET, PUT, DELETE"


def test_names_that_no_task_can_have_are_refused_with_the_rule(live: Live):
    for name in ("org%2Fx", "-x", "a b", "x" * 129, "%C3%A9"):
        message = check(live.http.delete(f"/v1/tasks/{name}"), 400, "invalid_request", "name")
        assert "1 to 128 of the characters A-Z a-z 0-9 . _ -" in message
    assert "no '/'" in check(live.http.put("/v1/tasks/org/x"), 404, "not_found")


def test_an_unknown_task_names_close_ones(live: Live):
    message = check(live.post(INFER, task="botleneck", input="x"), 404, "task_not_found", "task")
    assert "bottleneck" in message
    check(live.post(INFER, task="x\r\ny: z", input="x"), 404, "task_not_found", "task")


def test_an_input_longer_than_the_context(live: Live):
    message = check(
        live.post(INFER, task="prefix", input="word " * 400),
        400,
        "context_length_exceeded",
        "input",
    )
    room = live.engine.context - 3
    assert str(room) in message


def test_token_ids_outside_the_vocabulary(live: Live):
    response = live.post("/v1/completions", model="base", prompt=[1, 2, 10**6])
    check(response, 400, "invalid_request", "prompt")
    response = live.post(CHAT, model="base", messages=[{"role": "user", "content": "word " * 400}])
    check(response, 400, "context_length_exceeded", "messages")
    response = live.post("/v1/completions", model="base", prompt=[1, -2])
    check(response, 400, "invalid_request", "prompt.1")


def test_request_ids_are_kept_if_well_formed(live: Live):
    kept = live.http.get("/health", headers={"x-request-id": "trace-1.b_2"})
    assert kept.headers["x-request-id"] == "trace-1.b_2"
    for odd in ("", "a b", "x" * 129, "a;b"):
        response = live.http.get("/v1/nothing", headers={"x-request-id": odd})
        assert response.headers["x-request-id"].startswith("req-")


def raw(live: Live, data: bytes) -> bytes:
    """Send bytes and read until the server closes."""
    with socket.create_connection(live.address, timeout=PATIENCE) as connection:
        connection.sendall(data)
        found = b""
        while piece := connection.recv(65536):
            found += piece
    return found


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /health HTTP/1.1\r\nhost: x\r\nx-request-id: a\rb\r\n\r\n", b"400"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET /health HTTP/1.1\r\nhost: x\r\nlong: " + b"x" * (32 << 10), b"431"),
    ],
)
def test_bytes_that_are_no_request_are_answered_in_the_one_shape(
    live: Live, data: bytes, status: bytes
):
    head, _, body = raw(live, data).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 " + status)
    assert json.loads(body)["error"]["code"]
    assert live.http.get("/health").status_code == 200


def test_slow_requests_are_given_up(live: Live, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT", 0.2)
    monkeypatch.setattr(patience, "LIMIT", 0.2)
    assert raw(live, b"POST /v1/infer HTTP/1.1\r\nhost:").startswith(b"HTTP/1.1 408")
    begun = (
        b"POST /v1/infer HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
        b"content-type: application/json\r\ncontent-length: 100\r\n\r\n{"
    )
    assert raw(live, begun).startswith(b"HTTP/1.1 408")
