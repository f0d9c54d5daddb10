import pytest

from tests.server.api.live import Live


def test_each_request_of_a_batch_succeeds_or_fails_by_itself(live: Live):
    response = live.post(
        "/v1/infer/batch",
        requests=[
            {"task": "spam", "input": "You won"},
            {"task": "prefix", "input": ["a", "b"], "parameters": {"max_tokens": 3}},
            {"task": "spa", "input": "You won"},
            {"task": "base", "input": "x", "parameters": {"n": 10**9}},
            {"task": "base", "input": "x", "stream": True},
            "not a request",
            {"task": "base", "input": "word " * 400},
        ],
    )
    assert response.status_code == 200
    results = response.json()["results"]
    (mixed,), (alone,) = results[0]["outputs"], live.infer("spam", "You won")["outputs"]
    assert mixed["label"] == alone["label"]
    # Other rows in the batch change the order of sums.
    assert mixed["scores"] == pytest.approx(alone["scores"], abs=1e-4)
    assert results[1]["outputs"] == live.infer("prefix", ["a", "b"], max_tokens=3)["outputs"]
    errors = [result["error"] for result in results[2:]]
    assert [(error["status"], error["code"], error["param"]) for error in errors] == [
        (404, "task_not_found", "task"),
        (400, "invalid_request", "parameters.n"),
        (400, "invalid_request", "stream"),
        (400, "invalid_request", None),
        (400, "context_length_exceeded", "input"),
    ]
    assert "spam" in errors[0]["message"]


def test_a_batch_has_bounds(live: Live):
    for count in (0, 257):
        requests = [{"task": "spam", "input": "x"}] * count
        assert live.post("/v1/infer/batch", requests=requests).status_code == 400
