"""More than a server takes at once is sent in portions, and nothing for nothing."""

from collections.abc import Iterator
from typing import Any

import pytest

from polydelta_client import (
    APIResponseError,
    BadRequestError,
    BatchRequest,
    Inference,
    InternalServerError,
    Polydelta,
)
from server.api.inputs import MAX_BATCH

from .answers import inference
from .server import Reply, ScriptedServer, answer, problem


def _text(name: object) -> dict[str, Any]:
    return {"text": str(name), "finish_reason": "stop"}


def _batch(count: int) -> Reply:
    return answer({"results": [inference(_text(i)) for i in range(count)]})


@pytest.mark.parametrize(("n", "sizes"), [(1, [256, 256, 88]), (3, [85] * 7 + [5])])
def test_many_texts(n: int, sizes: list[int], client: Polydelta, server: ScriptedServer) -> None:
    texts = [str(i) for i in range(600)]
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    for start, size in zip(starts, sizes, strict=True):
        server.script(answer(inference(*(_text(i) for i in range(start, start + size)))))
    result = client.infer("headline", texts, n=n)
    assert [len(received.json["input"]) for received in server.received] == sizes
    assert max(sizes) * n <= MAX_BATCH
    assert [getattr(output, "text", None) for output in result.outputs] == texts
    assert result.usage.total_tokens == 7 * len(sizes)


def test_a_task_that_changes_between_portions(client: Polydelta, server: ScriptedServer) -> None:
    server.script(answer(inference(*[_text(1)] * 256)))
    server.script(answer(inference(_text(2)) | {"version": "ba9876543210"}))
    with pytest.raises(APIResponseError, match="0123456789ab to ba9876543210"):
        client.infer("headline", ["text"] * 257)


def test_a_chat_is_never_split(client: Polydelta, server: ScriptedServer) -> None:
    server.script(answer(inference(_text(1))))
    client.infer("chat", [{"role": "user", "content": "hi"}] * 300)
    assert len(server.received) == 1


def test_nothing_gives_nothing(client: Polydelta, server: ScriptedServer) -> None:
    assert client.infer("spam", []).outputs == []
    assert client.infer_many([]) == []
    assert list(client.infer_each([])) == []
    assert server.received == []


def test_many_requests(client: Polydelta, server: ScriptedServer) -> None:
    requests: list[BatchRequest] = [
        *[("headline", "a")] * 200,
        ("spam", ["b"] * 50),
        ("headline", "c", {"n": 7}),
        ("headline", "d"),
    ]
    server.script(_batch(201), _batch(2))
    assert len(client.infer_many(requests)) == 203
    sent = [received.json["requests"] for received in server.received]
    assert [len(elements) for elements in sent] == [201, 2]
    assert [element["input"] for element in sent[1]] == ["c", "d"]


def test_what_was_answered_outlives_a_later_batch(
    client: Polydelta, server: ScriptedServer
) -> None:
    patient = client.with_options(max_retries=0)
    server.script(_batch(256), problem(503, "shutting_down", "later"))
    results = patient.infer_many([("headline", "a")] * 258)
    assert all(isinstance(result, Inference) for result in results[:256])
    assert [type(result) for result in results[256:]] == [InternalServerError] * 2
    server.script(problem(400, "invalid_request", "never"))
    with pytest.raises(BadRequestError):
        client.infer_many([("headline", "a")] * 258)


def test_requests_are_read_as_they_are_answered(client: Polydelta, server: ScriptedServer) -> None:
    read: list[int] = []

    def endless() -> Iterator[BatchRequest]:
        while True:
            read.append(len(read))
            yield "headline", "a"

    server.script(_batch(256), _batch(256))
    results = iter(client.infer_each(endless()))
    assert isinstance(next(results), Inference)
    assert len(read) == 257
    assert len(server.received) == 1


def test_results_that_do_not_match_their_requests(
    client: Polydelta, server: ScriptedServer
) -> None:
    server.script(_batch(1))
    with pytest.raises(APIResponseError, match="1 results came for 2 requests"):
        client.infer_many([("headline", "a"), ("headline", "b")])
