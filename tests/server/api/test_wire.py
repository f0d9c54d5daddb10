"""What a client can do to a connection: slow, large and twofold requests, and reading nothing."""

import json
import logging
import select
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx2
import pytest

from server.api.http import patience, protocol
from tests.server.api.live import PATIENCE, Live, serving, wait_until
from tests.server.api.problems import check
from tests.server.engine.pacing import paced

POST = b"POST /v1/infer HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
GET = b"GET %s HTTP/1.1\r\nhost: x\r\n\r\n"
TWICE = b"GET /health HTTP/1.1\r\nhost: x\r\n"
LONG = b"long: " + b"x" * (20 << 10) + b"\r\n"
LEAST = 16


@pytest.fixture(scope="module")
def small(decoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A server with room for few connections."""
    folder = tmp_path_factory.mktemp("small")
    with serving(decoder, folder, drain_timeout=0, max_connections=LEAST) as server:
        yield server


def connect(live: Live, receive_buffer: int | None = None) -> socket.socket:
    connection = socket.socket()
    connection.settimeout(PATIENCE)
    if receive_buffer is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.connect(live.address)
    return connection


def until_closed(connection: socket.socket) -> bytes:
    found = b""
    while piece := connection.recv(65536):
        found += piece
    return found


def trickle(connection: socket.socket) -> None:
    """Send a byte now and then until there is an answer."""
    for _ in range(600):
        connection.sendall(b" ")
        if select.select([connection], [], [], 0.05)[0]:
            return


def is_open(live: Live, connection: socket.socket) -> bool:
    """Whether the server still holds a connection."""
    port = connection.getsockname()[1]
    return any(each.client and each.client[1] == port for each in _connections(live))


def _connections(live: Live) -> list[protocol.BoundedProtocol]:
    held = list(live.server.server_state.connections)
    return [each for each in held if isinstance(each, protocol.BoundedProtocol)]


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /health HTTP/1.1\r\nhost: x\r\n" + LONG + b"\r\n", b"431"),
        (TWICE + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", b"400"),
        (TWICE + b"transfer-encoding: chunked\r\ncontent-length: 0\r\n\r\n0\r\n\r\n", b"400"),
        (POST + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}", b"400"),
    ],
)
def test_heads_that_are_too_large_or_end_in_two_places_are_refused(
    live: Live, request_: bytes, status: bytes
):
    with connect(live) as connection:
        connection.sendall(request_)
        head, _, body = until_closed(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 " + status)
    assert json.loads(body)["status"] == int(status)


def test_strangers_fill_no_log(live: Live, caplog: pytest.LogCaptureFixture):
    logger = logging.getLogger("uvicorn")
    logger.addHandler(caplog.handler)
    try:
        upgrade = b"connection: upgrade\r\nupgrade: websocket\r\nconnection: close\r\n\r\n"
        for data in (b"nonsense\r\n\r\n", b"GET /health HTTP/1.1\r\nhost: x\r\n" + upgrade):
            with connect(live) as connection:
                connection.sendall(data)
                assert until_closed(connection).startswith(b"HTTP/1.1 ")
    finally:
        logger.removeHandler(caplog.handler)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_head_behind_another_request_is_held_to_the_same_bound(live: Live):
    with connect(live) as connection:
        connection.sendall(GET % b"/health" + GET.replace(b"\r\n\r\n", b"\r\n" + LONG) % b"/health")
        answers = until_closed(connection)
    assert answers.startswith(b"HTTP/1.1 200")
    assert b"HTTP/1.1 431" in answers


def test_a_head_that_trickles_is_given_up(live: Live, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT", 0.5)
    with connect(live) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\nlong:")
        trickle(connection)
        assert connection.recv(65536).startswith(b"HTTP/1.1 408")


def test_a_body_that_trickles_is_given_up(live: Live, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(patience, "LIMIT", 0.3)
    with connect(live) as connection:
        connection.sendall(POST + b"content-length: 100000\r\n\r\n")
        # Each byte comes long before the limit, and their rate is far below the least.
        trickle(connection)
        assert connection.recv(65536).startswith(b"HTTP/1.1 408")


def test_a_body_may_take_long_if_it_comes_at_a_rate(live: Live, monkeypatch: pytest.MonkeyPatch):
    limit = 3.0
    monkeypatch.setattr(patience, "LIMIT", limit)
    monkeypatch.setattr(patience, "LEAST_RATE", 100)
    body = b'{"task": "base", "input": "x", "parameters": {"max_tokens": 1}}' + b" " * 8000
    with connect(live) as connection:
        connection.sendall(POST + b"content-length: %d\r\n\r\n" % len(body))
        for start in range(0, len(body), 1000):
            time.sleep(limit / 8)
            connection.sendall(body[start : start + 1000])
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")


def test_the_rest_of_a_refused_body_is_not_taken_for_ever(
    live: Live, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(protocol, "REST_TIMEOUT", 0.3)
    with connect(live) as connection:
        connection.sendall(POST + b"content-encoding: br\r\ncontent-length: 100000\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 415")
        # It goes on sending, so that the connection is never without news.
        with suppress(BrokenPipeError, ConnectionResetError):
            trickle(connection)
        wait_until(lambda: not is_open(live, connection))


@pytest.fixture
def cut(caplog: pytest.LogCaptureFixture) -> Callable[[], bool]:
    """Whether a connection was cut for its reader."""
    caplog.set_level(logging.INFO, "server.api.http.delivery")
    return lambda: "its reader takes too little" in caplog.text


def test_who_reads_no_answer_is_cut(
    live: Live, monkeypatch: pytest.MonkeyPatch, cut: Callable[[], bool]
):
    monkeypatch.setattr(patience, "LIMIT", 0.3)
    with connect(live, receive_buffer=4096) as connection:
        connection.sendall(GET % b"/openapi.json" * 200)
        wait_until(cut)
        wait_until(lambda: not is_open(live, connection))


def test_who_reads_no_stream_is_cut(
    live: Live, monkeypatch: pytest.MonkeyPatch, cut: Callable[[], bool]
):
    monkeypatch.setattr(patience, "LIMIT", 0.3)
    parameters = {"max_tokens": 200, "ignore_eos": True, "n": 16, "logprobs": 20}
    body = json.dumps({"task": "lora", "input": "x", "stream": True, "parameters": parameters})
    with connect(live, receive_buffer=4096) as connection:
        connection.sendall(POST + b"content-length: %d\r\n\r\n%s" % (len(body), body.encode()))
        wait_until(cut)
        wait_until(lambda: not is_open(live, connection))
        live.settle()


def test_who_reads_slowly_is_served(live: Live, monkeypatch: pytest.MonkeyPatch):
    whole = len(live.http.get("/openapi.json").content)
    monkeypatch.setattr(patience, "LIMIT", 1.0)
    monkeypatch.setattr(patience, "LEAST_RATE", 1000)
    with connect(live, receive_buffer=4096) as connection:
        count = (1 << 20) // whole
        connection.sendall(GET % b"/openapi.json" * count + b"GET /health HTTP/1.0\r\n\r\n")
        found = b""
        while piece := connection.recv(32 << 10):
            found += piece
            time.sleep(0.02)
    assert found.count(b"HTTP/1.1 200") == count + 1


def test_connections_that_ask_for_nothing_keep_nobody_out(
    small: Live, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT", 600.0)
    with ExitStack() as stack:
        for _ in range(4 * LEAST):
            stack.enter_context(connect(small))
        for path in ("/health", "/v1/models"):
            assert httpx2.get(small.url + path, timeout=PATIENCE).status_code == 200
        wait_until(lambda: len(_connections(small)) <= LEAST)


def test_health_answers_where_there_is_no_room_for_more_requests(small: Live):
    body = b'{"task": "base", "input": "x", "parameters": {"max_tokens": 4}}'
    with paced(small.engine) as steps, ExitStack() as stack:
        held = [stack.enter_context(connect(small)) for _ in range(LEAST - 1)]
        for connection in held:
            connection.sendall(POST + b"content-length: %d\r\n\r\n%s" % (len(body), body))
        wait_until(lambda: small.engine.stats().running + small.engine.stats().waiting == LEAST - 1)
        for _ in range(3):
            refused = httpx2.get(f"{small.url}/v1/models", timeout=PATIENCE)
            check(refused, 503, "overloaded")
            assert int(refused.headers["retry-after"]) > 0
            assert httpx2.get(f"{small.url}/health", timeout=PATIENCE).status_code == 200
        steps(100)
        for connection in held:
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")


@contextmanager
def stopped(live: Live) -> Generator[None]:
    """Hold the server's event loop: what comes meanwhile is there when it goes on."""
    held, goes_on = threading.Event(), threading.Event()

    def hold() -> None:
        held.set()
        goes_on.wait()

    live.engine._loop.call(hold)
    held.wait()
    try:
        yield
    finally:
        goes_on.set()


def test_health_answers_before_a_crowd(live: Live, monkeypatch: pytest.MonkeyPatch):
    body = b'{"task": "absent", "input": "x"}'
    answered: list[str] = []
    complete = protocol.BoundedProtocol.on_response_complete

    def noted(each: protocol.BoundedProtocol) -> None:
        answered.append(each.scope["path"])
        complete(each)

    with ExitStack() as stack:
        *crowd, last = [stack.enter_context(connect(live)) for _ in range(401)]
        wait_until(lambda: len(_connections(live)) >= len(crowd) + 1)
        monkeypatch.setattr(protocol.BoundedProtocol, "on_response_complete", noted)
        with stopped(live):
            for connection in crowd:
                connection.sendall(POST + b"content-length: %d\r\n\r\n%s" % (len(body), body))
            last.sendall(GET % b"/health")
        assert last.recv(65536).startswith(b"HTTP/1.1 200")
        for each in crowd:
            assert each.recv(65536).startswith(b"HTTP/1.1 404")
    assert answered.index("/health") < len(crowd) / 5
