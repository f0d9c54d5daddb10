"""What is tried again, how often, and after what wait."""

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from polydelta_client import APIConnectionError, InternalServerError, Polydelta, PolydeltaError
from polydelta_client._retries import LONGEST_WAIT, Retries, may_retry, requested_wait

from .answers import inference
from .conftest import Connect
from .server import Reply, ScriptedServer, answer, problem

FINE = answer(inference({"text": "fine", "finish_reason": "stop"}))


@pytest.mark.parametrize(
    "refusal",
    [
        problem(503, "shutting_down", "shutting down", retry_after="0"),
        problem(429, "queue_full", "queue full", retry_after_ms="1", retry_after="60"),
        problem(408, "timeout", "too slow", retry_after="0"),
        problem(409, "conflict", "locked", x_should_retry="true", retry_after_ms="1"),
        Reply([b"<html>Bad Gateway"], 502, {"content-type": "text/html", "retry-after": "0"}),
    ],
    ids=lambda reply: str(reply.status),
)
def test_a_refusal_is_tried_again(
    refusal: Reply, client: Polydelta, server: ScriptedServer
) -> None:
    server.script(refusal, refusal, FINE)
    assert client.infer("headline", "text").text == "fine"
    bodies = [received.json for received in server.received]
    assert len(bodies) == 3
    assert bodies[0] == bodies[1] == bodies[2]


def test_a_broken_answer_is_tried_again(client: Polydelta, server: ScriptedServer) -> None:
    server.script(Reply([b'{"id": '], breaks=True), FINE)
    assert client.infer("headline", "text").text == "fine"


@pytest.mark.parametrize(
    "refusal",
    [
        problem(400, "invalid_request", "bad"),
        problem(409, "conflict", "other digest"),
        problem(503, "engine_dead", "dead", x_should_retry="false"),
        problem(429, "queue_full", "queue full", retry_after="3600"),
    ],
    ids=["400", "409", "forbidden to", "too long a wait"],
)
def test_a_refusal_that_is_final(refusal: Reply, client: Polydelta, server: ScriptedServer) -> None:
    server.script(refusal)
    with pytest.raises(PolydeltaError):
        client.infer("headline", "text")
    assert len(server.received) == 1


@pytest.mark.parametrize("limit", [0, 1])
def test_attempts_are_limited(limit: int, connect: Connect, server: ScriptedServer) -> None:
    server.script(*[problem(500, "row_failed", "failed", retry_after_ms="1")] * 5)
    with pytest.raises(InternalServerError):
        connect(max_retries=limit).infer("headline", "text")
    assert len(server.received) == 1 + limit


def test_the_requested_wait_is_kept(client: Polydelta, server: ScriptedServer) -> None:
    server.script(problem(429, "queue_full", "queue full", retry_after_ms="120"), FINE)
    start = time.monotonic()
    client.infer("headline", "text")
    assert time.monotonic() - start >= 0.12


def test_waits_grow_to_a_ceiling() -> None:
    retries = Retries(20)
    waits = [retries.wait_after(APIConnectionError("lost", retryable=True)) for _ in range(20)]
    ceilings = [min(0.5 * 2**attempt, LONGEST_WAIT) for attempt in range(20)]
    assert all(top / 2 <= wait <= top for wait, top in zip(waits, ceilings, strict=True))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "7", "retry-after-ms": "250"}, 0.25),
        ({"retry-after": "7", "retry-after-ms": "soon"}, 7.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "Sat, 01 Jan 2000 00:00:00 GMT"}, 0.0),
        ({"retry-after": "Sat, 01 Jan 2000 00:00:00 -0000"}, 0.0),
    ],
)
def test_requested_waits(headers: dict[str, str], seconds: float | None) -> None:
    assert requested_wait(headers) == seconds


def test_a_requested_moment() -> None:
    moment = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert requested_wait({"retry-after": moment}) == pytest.approx(60, abs=30)


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [(404, {}, False), (500, {}, True), (507, {}, True), (500, {"x-should-retry": "?"}, True)],
)
def test_what_may_be_tried_again(status: int, headers: dict[str, str], expected: bool) -> None:
    assert may_retry(status, headers) is expected
