"""Beams over HTTP: by our own names, Transformers' and vLLM's."""

import json
from typing import Any

import pytest

from polydelta_client import Generation, Polydelta
from tests.server.api.live import Live
from tests.server.api.problems import check

INFER, COMPLETE, CHAT = "/v1/infer", "/v1/completions", "/v1/chat/completions"
PROMPT = "the sea at noon"


def texts(live: Live, path: str, **body: Any) -> list[str]:
    response = live.post(path, model="lora", max_tokens=8, **body)
    assert response.status_code == 200, response.text
    choices = response.json()["choices"]
    return [each["message"]["content"] if path == CHAT else each["text"] for each in choices]


def test_beams_give_the_likeliest_texts_with_their_scores(live: Live):
    found = live.infer("lora", PROMPT, num_beams=4, n=4, max_tokens=8)
    scores = [each["score"] for each in found["outputs"]]
    assert scores == sorted(scores, reverse=True)
    assert len({each["text"] for each in found["outputs"]}) == 4
    best = live.infer("lora", PROMPT, num_beams=4, max_tokens=8)
    assert best["outputs"] == found["outputs"][:1]
    assert best["usage"]["completion_tokens"] == 8
    (greedy,) = live.infer("lora", PROMPT, max_tokens=8)["outputs"]
    assert "score" not in greedy


def test_vllms_name_takes_as_many_beams_as_texts(live: Live):
    by_beams = texts(live, COMPLETE, prompt=PROMPT, num_beams=3, n=3)
    assert texts(live, COMPLETE, prompt=PROMPT, use_beam_search=True, n=3) == by_beams
    best = texts(live, COMPLETE, prompt=PROMPT, use_beam_search=True, best_of=3)
    assert best == by_beams[:1]
    chat = {"messages": [{"role": "user", "content": PROMPT}]}
    assert texts(live, CHAT, use_beam_search=True, n=2, temperature=0, **chat) == [
        each["text"]
        for each in live.infer("lora", PROMPT, num_beams=2, n=2, max_tokens=8)["outputs"]
    ]


def test_a_stream_has_each_text_once_it_is_found(live: Live):
    parameters = {"num_beams": 3, "n": 2, "max_tokens": 8}
    body = {"task": "lora", "input": PROMPT, "parameters": parameters}
    whole = live.post(INFER, **body).json()["outputs"]
    lines = live.post(INFER, stream=True, **body).text.splitlines()
    events = [json.loads(line.removeprefix("data: ")) for line in lines if line[:7] == "data: {"]
    for index, output in enumerate(whole):
        pieces = [each for each in events if each.get("index") == index]
        assert "".join(each["text"] for each in pieces) == output["text"]
        assert pieces[-1]["score"] == output["score"]


@pytest.mark.parametrize(
    ("parameters", "param"),
    [
        ({"num_beams": 17}, "parameters.num_beams"),
        ({"num_beams": 2, "temperature": 0.5}, "temperature"),
        ({"num_beams": 2, "n": 3}, "n"),
        ({"num_beams": 2, "stop": "."}, "stop"),
        ({"num_beams": 2, "logprobs": 0}, "logprobs"),
        ({"num_beams": 2, "regex": "a+"}, "num_beams"),
        ({"num_beams": 2, "length_penalty": 6}, "parameters.length_penalty"),
    ],
)
def test_what_makes_no_sense_is_refused(live: Live, parameters: dict[str, Any], param: str):
    response = live.post(INFER, task="lora", input=PROMPT, parameters=parameters)
    check(response, 400, "invalid_request", param)


def test_the_client_knows_them(live: Live):
    with Polydelta(live.url) as client:
        result = client.infer("lora", PROMPT, num_beams=3, length_penalty=0.5, max_tokens=8)
        (output,) = result.outputs
        assert isinstance(output, Generation)
        assert output.score is not None
