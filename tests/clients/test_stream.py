"""Generated text, piece by piece."""

import asyncio
import gc
import logging

import pytest

from polydelta_client import (
    APIConnectionError,
    APIResponseError,
    APIStreamError,
    APITimeoutError,
    AsyncPolydelta,
    AsyncStream,
    NotFoundError,
    Piece,
    Polydelta,
    Usage,
)

from .answers import piece, totals
from .conftest import Connect
from .server import ScriptedServer, answer, event, events, problem

DONE = b"data: [DONE]\n\n"
WHOLE = (event(piece("Grü")), event(piece("ße 🦉", "stop")), event(totals()), DONE)


def test_pieces_then_usage(client: Polydelta, server: ScriptedServer) -> None:
    server.script(events(*WHOLE))
    stream = client.stream("headline", "text", max_tokens=9)
    assert stream.usage is None
    assert list(stream) == [Piece("Grü"), Piece("ße 🦉", 0, "stop")]
    assert stream.usage == Usage(5, 2, 7)
    assert stream.request_id == "req-1"
    assert server.received[0].json == {
        "task": "headline",
        "input": "text",
        "parameters": {"max_tokens": 9},
        "stream": True,
    }


@pytest.mark.parametrize("size", [1, 3])
def test_chunks_that_split_characters_and_lines(
    size: int, client: Polydelta, server: ScriptedServer
) -> None:
    whole = b": ping\n\n" + b"".join(WHOLE).replace(b"\n", b"\r\n")
    server.script(events(*(whole[i : i + size] for i in range(0, len(whole), size))))
    assert [piece.text for piece in client.stream("headline", "text")] == ["Grü", "ße 🦉"]


def test_interleaved_generations(client: Polydelta, server: ScriptedServer) -> None:
    first, second = event(piece("a", "stop", 0)), event(piece("b", "length", 1))
    server.script(events(second, first, event(totals()), DONE))
    pieces = list(client.stream("headline", "text", n=2))
    assert pieces == [Piece("b", 1, "length"), Piece("a", 0, "stop")]


def test_calls_of_tools_come_piece_by_piece(client: Polydelta, server: ScriptedServer) -> None:
    begun = {"index": 0, "id": "call-1", "type": "function"}
    first = begun | {"function": {"name": "weather", "arguments": '{"ci'}}
    second = {"index": 0, "function": {"arguments": 'ty": 1}'}}
    server.script(
        events(
            event(piece("") | {"tool_calls": [first], "reasoning": "hm"}),
            event(piece("", "tool_calls") | {"tool_calls": [second]}),
            event(totals()),
            DONE,
        )
    )
    pieces = list(client.stream("chat", "text"))
    calls = [call for piece in pieces for call in piece.tool_calls]
    assert [call.function.name for call in calls] == ["weather", None]
    assert "".join(call.function.arguments for call in calls) == '{"city": 1}'
    assert pieces[0].reasoning == "hm"


def test_nothing_is_sent_before_the_first_piece_is_asked_for(
    client: Polydelta, server: ScriptedServer
) -> None:
    with client.stream("headline", "text"):
        pass
    assert server.received == []


def test_leaving_early_cancels_the_request(client: Polydelta, server: ScriptedServer) -> None:
    server.script(events(WHOLE[0], hangs=True))
    with client.stream("headline", "text") as stream:
        assert next(stream).text == "Grü"
    assert server.cancelled.wait(timeout=60)
    assert list(stream) == []


def test_dropping_a_stream_cancels_the_request_at_once(server: ScriptedServer) -> None:
    server.script(events(WHOLE[0], hangs=True))
    gc.disable()
    try:
        with Polydelta(server.url) as client:
            for _ in client.stream("headline", "text"):
                break
            assert server.cancelled.wait(timeout=60)
    finally:
        gc.enable()


async def test_dropping_an_async_stream_cancels_the_request(server: ScriptedServer) -> None:
    server.script(events(WHOLE[0], hangs=True))
    gc.disable()
    try:
        async with AsyncPolydelta(server.url) as client:
            async for _ in client.stream("headline", "text"):
                break
            assert await asyncio.to_thread(server.cancelled.wait, 60)
    finally:
        gc.enable()


def test_streams_that_are_left_at_the_end_of_a_loop_say_nothing(
    server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.script(*[events(WHOLE[0], hangs=True)] * 8)
    client = AsyncPolydelta(server.url)
    kept: list[AsyncStream] = []

    async def leave() -> None:
        for _ in range(8):
            kept.append(client.stream("headline", "text"))
            assert (await anext(kept[-1])).text == "Grü"

    asyncio.run(leave())
    kept.clear()
    gc.collect()
    assert server.cancelled.wait(timeout=60)
    assert [each for each in caplog.records if each.levelno >= logging.WARNING] == []


def test_a_connection_lost_before_the_first_piece_is_tried_again(
    client: Polydelta, server: ScriptedServer
) -> None:
    server.script(events(b": ping\n\n", breaks=True), events(), events(*WHOLE))
    assert len(list(client.stream("headline", "text"))) == 2
    assert len(server.received) == 3


@pytest.mark.parametrize("breaks", [True, False], ids=["broken", "cut short"])
def test_a_connection_lost_after_the_first_piece_is_not_tried_again(
    breaks: bool, client: Polydelta, server: ScriptedServer
) -> None:
    server.script(events(WHOLE[0], breaks=breaks))
    stream = client.stream("headline", "text")
    assert next(stream).text == "Grü"
    with pytest.raises(APIConnectionError) as caught:
        next(stream)
    assert caught.value.request_id == "req-1"
    assert len(server.received) == 1


def test_a_connection_lost_after_the_end_does_not_matter(
    client: Polydelta, server: ScriptedServer
) -> None:
    server.script(events(*WHOLE, breaks=True))
    assert len(list(client.stream("headline", "text"))) == 2


def test_a_connection_is_used_again_after_a_stream(
    client: Polydelta, server: ScriptedServer
) -> None:
    server.script(events(*WHOLE), events(*WHOLE))
    list(client.stream("headline", "text"))
    list(client.stream("headline", "text"))
    assert server.received[0].port == server.received[1].port


def test_a_slow_stream_times_out(connect: Connect, server: ScriptedServer) -> None:
    server.script(events(WHOLE[0], hangs=True))
    stream = connect(timeout=3.0).stream("headline", "text")
    assert next(stream).text == "Grü"
    with pytest.raises(APITimeoutError):
        next(stream)
    assert server.cancelled.wait(timeout=60)


def test_an_error_inside_the_stream(client: Polydelta, server: ScriptedServer) -> None:
    error = {"message": "row failed", "type": "server_error", "param": None, "code": "row_failed"}
    server.script(events(WHOLE[0], event({"error": error})))
    stream = client.stream("headline", "text")
    assert next(stream).text == "Grü"
    with pytest.raises(APIStreamError, match="row failed") as caught:
        next(stream)
    assert (caught.value.code, caught.value.request_id) == ("row_failed", "req-1")


def test_an_error_before_the_stream(client: Polydelta, server: ScriptedServer) -> None:
    server.script(problem(404, "task_not_found", "no task 'headlin'"))
    with pytest.raises(NotFoundError):
        list(client.stream("headlin", "text"))


@pytest.mark.parametrize("data", [b"data: {oops\n\n", b"data: 3\n\n", b'data: {"index": 0}\n\n'])
def test_a_malformed_event(data: bytes, client: Polydelta, server: ScriptedServer) -> None:
    server.script(events(data))
    with pytest.raises(APIResponseError):
        list(client.stream("headline", "text"))
    assert len(server.received) == 1


def test_an_answer_that_is_no_stream(client: Polydelta, server: ScriptedServer) -> None:
    server.script(answer({"hello": "world"}))
    with pytest.raises(APIResponseError, match="text/event-stream"):
        list(client.stream("headline", "text"))


async def test_cancelling_the_task_that_waits_cancels_the_request(server: ScriptedServer) -> None:
    server.script(events(WHOLE[0], hangs=True))
    async with AsyncPolydelta(server.url) as client, client.stream("headline", "text") as stream:
        assert (await anext(stream)).text == "Grü"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(stream), timeout=0.1)
    assert await asyncio.to_thread(server.cancelled.wait, 60)
