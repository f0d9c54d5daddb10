"""One request, one answer."""

from typing import Any

import pytest

from polydelta_client import (
    Alternative,
    APIResponseError,
    ChosenToken,
    Entity,
    Generation,
    Polydelta,
    Usage,
)

from .answers import inference
from .server import ScriptedServer, answer

SPAM = {"label": "spam", "score": 0.9, "scores": {"spam": 0.9, "ham": 0.1}}
PERSON = {"label": "PER", "start": 0, "end": 3, "text": "Ada", "score": 1}


def test_classification(client: Polydelta, server: ScriptedServer) -> None:
    server.script(answer(inference(SPAM)))
    result = client.infer("spam", "You won a prize!", top=2)
    assert (result.label, result.score, result.scores) == ("spam", 0.9, SPAM["scores"])
    assert (result.task, result.version, result.kind) == ("spam", "0123456789ab", "lora+head")
    assert result.usage == Usage(prompt_tokens=5, completion_tokens=2, total_tokens=7)
    sent = server.received[0]
    assert (sent.method, sent.path) == ("POST", "/v1/infer")
    assert sent.json == {"task": "spam", "input": "You won a prize!", "parameters": {"top": 2}}


def test_generation_sends_parameters_but_not_those_left_to_the_server(
    client: Polydelta, server: ScriptedServer
) -> None:
    server.script(answer(inference({"text": "Grüße 🦉", "finish_reason": "length"})))
    messages = [{"role": "user", "content": "Hallo"}]
    result = client.infer("chat", messages, max_tokens=2, stop=["."], temperature=None)
    assert (result.text, result.finish_reason) == ("Grüße 🦉", "length")
    assert server.received[0].json["input"] == messages
    assert server.received[0].json["parameters"] == {"max_tokens": 2, "stop": ["."]}


def test_log_probabilities(client: Polydelta, server: ScriptedServer) -> None:
    top = [{"id": 7, "token": " a", "logprob": -0.5}, {"id": 8, "token": " b", "logprob": -1.5}]
    chosen = top[0] | {"top": top}
    server.script(answer(inference({"text": " a", "finish_reason": "stop", "logprobs": [chosen]})))
    server.script(answer(inference({"text": " a", "finish_reason": "stop", "logprobs": None})))
    first = client.infer("chat", "text", logprobs=2).outputs[0]
    second = client.infer("chat", "text").outputs[0]
    places = [Alternative(7, " a", -0.5), Alternative(8, " b", -1.5)]
    assert first == Generation(" a", "stop", [ChosenToken(7, " a", -0.5, places)])
    assert second == Generation(" a", "stop")
    assert getattr(first, "token_ids", None) == [7]
    assert getattr(second, "token_ids", ()) is None


def test_tagging_and_embedding(client: Polydelta, server: ScriptedServer) -> None:
    server.script(answer(inference({"entities": [PERSON]})))
    server.script(answer(inference({"embedding": [0.5, -1]})))
    assert client.infer("names", "Ada").entities == [Entity("PER", 0, 3, "Ada", 1.0)]
    assert client.infer("vectors", "Ada").embedding == [0.5, -1.0]


def test_several_inputs_have_several_outputs(client: Polydelta, server: ScriptedServer) -> None:
    server.script(answer(inference(SPAM, SPAM)))
    result = client.infer("spam", ["one", "two"])
    assert len(result.outputs) == 2
    with pytest.raises(ValueError, match="2 outputs"):
        _ = result.label


def test_a_shortcut_to_another_type_of_output(client: Polydelta, server: ScriptedServer) -> None:
    server.script(answer(inference(SPAM)))
    with pytest.raises(AttributeError, match="gave a Classification, not a Generation"):
        _ = client.infer("spam", "text").text


def test_unknown_fields_are_ignored(client: Polydelta, server: ScriptedServer) -> None:
    server.script(answer(inference(SPAM | {"margin": 0.8}) | {"region": "north"}))
    assert client.infer("spam", "text").label == "spam"


@pytest.mark.parametrize(
    ("output", "place"),
    [
        ({"label": "spam"}, r"outputs\[0\]\.score is missing"),
        ({"embedding": ["x"]}, r"outputs\[0\]\.embedding\[0\] is str, not float"),
        ({"text": "a", "finish_reason": True}, r"finish_reason is bool, not str"),
    ],
)
def test_an_output_of_no_known_type_is_named(
    output: dict[str, Any], place: str, client: Polydelta, server: ScriptedServer
) -> None:
    server.script(answer(inference(output)))
    with pytest.raises(APIResponseError, match=place):
        client.infer("spam", "text")
