"""Many requests in one batch."""

import pytest

from polydelta_client import APIResponseError, Inference, NotFoundError, Polydelta

from .answers import inference
from .server import ScriptedServer, answer

ANSWERED = inference({"text": "fine", "finish_reason": "stop"})
MISSING = {
    "error": {
        "message": "no task 'topc'",
        "type": "invalid_request_error",
        "param": "task",
        "code": "task_not_found",
        "status": 404,
    }
}


def test_each_succeeds_or_fails_by_itself(client: Polydelta, server: ScriptedServer) -> None:
    server.script(answer({"id": "batch-1", "results": [ANSWERED, MISSING, ANSWERED]}))
    requests = [("headline", "a"), ("topc", ["b", "c"]), ("headline", "d", {"max_tokens": 4})]
    first, second, third = client.infer_many(requests)
    assert isinstance(first, Inference)
    assert isinstance(second, NotFoundError)
    assert isinstance(third, Inference)
    assert (second.message, second.code) == ("no task 'topc'", "task_not_found")
    assert (second.status, second.param, second.request_id) == (404, "task", "req-1")
    assert server.received[0].path == "/v1/infer/batch"
    assert server.received[0].json["requests"] == [
        {"task": "headline", "input": "a", "parameters": {}},
        {"task": "topc", "input": ["b", "c"], "parameters": {}},
        {"task": "headline", "input": "d", "parameters": {"max_tokens": 4}},
    ]


def test_an_element_of_neither_shape(client: Polydelta, server: ScriptedServer) -> None:
    server.script(answer({"id": "batch-1", "results": [{"surprise": 1}]}))
    with pytest.raises(APIResponseError):
        client.infer_many([("headline", "a")])
