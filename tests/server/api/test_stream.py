import json
from pathlib import Path
from typing import Any

from tests.server.api.live import Live, serving
from tests.server.engine.pacing import slowed


def events(live: Live, path: str = "/v1/infer", **body: Any) -> list[Any]:
    """The events of a stream in order, checked to be nothing but data lines."""
    with live.http.stream("POST", path, json={**body, "stream": True}) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        raw = response.read().decode()
    blocks = raw.split("\n\n")
    assert blocks.pop() == ""
    assert all(block.startswith("data: ") and "\n" not in block for block in blocks)
    found = [block.removeprefix("data: ") for block in blocks]
    return [event if event == "[DONE]" else json.loads(event) for event in found]


def test_a_stream_says_what_a_plain_answer_says(live: Live):
    parameters = {"max_tokens": 40, "n": 2, "temperature": 1, "seed": 3}
    *pieces, usage, done = events(live, task="lora", input="hi", parameters=parameters)
    plain = live.infer("lora", "hi", **parameters)
    assert done == "[DONE]"
    assert usage["usage"] == plain["usage"]
    for index, output in enumerate(plain["outputs"]):
        mine = [piece for piece in pieces if piece["index"] == index]
        assert "".join(piece["text"] for piece in mine) == output["text"]
        assert [piece["finish_reason"] for piece in mine[:-1]] == [None] * (len(mine) - 1)
        assert mine[-1]["finish_reason"] == output["finish_reason"]
    heads = [{key: event[key] for key in ("task", "version", "kind")} for event in pieces]
    assert heads == [{key: plain[key] for key in ("task", "version", "kind")}] * len(pieces)


def test_a_list_streams_side_by_side(live: Live):
    parameters = {"max_tokens": 12, "ignore_eos": True}
    *pieces, _, _ = events(live, task="base", input=["a", "b", "c"], parameters=parameters)
    outputs = live.infer("base", ["a", "b", "c"], **parameters)["outputs"]
    for index, output in enumerate(outputs):
        assert "".join(p["text"] for p in pieces if p["index"] == index) == output["text"]


def test_logprobs_come_with_their_pieces(live: Live):
    parameters = {"max_tokens": 10, "ignore_eos": True, "logprobs": 1}
    *pieces, _, _ = events(live, task="base", input="a", parameters=parameters)
    streamed = [token for piece in pieces for token in piece.get("logprobs", ())]
    assert streamed == live.infer("base", "a", **parameters)["outputs"][0]["logprobs"]


def test_a_classifier_does_not_stream(live: Live):
    response = live.post("/v1/infer", task="spam", input="x", stream=True)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "capability_mismatch"


def test_a_stream_that_the_server_cannot_finish_ends_with_an_error(decoder: Path, tmp_path: Path):
    body = {
        "task": "base",
        "input": "x",
        "stream": True,
        "parameters": {"max_tokens": 200, "n": 16},
    }
    with serving(decoder, tmp_path, drain_timeout=0) as live:
        with (
            slowed(live.engine),
            live.http.stream("POST", "/v1/infer", json=body) as response,
        ):
            lines = (line for line in response.iter_lines() if line)
            next(lines)
            live.shut()
            *_, last = lines
        error = json.loads(last.removeprefix("data: "))["error"]
        assert error.keys() == {"message", "type", "param", "code"}
        assert error["code"] == "shutting_down"
