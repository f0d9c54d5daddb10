"""One input for several tasks."""

from polydelta_client import Inference, NotFoundError, Polydelta

from .answers import inference
from .server import ScriptedServer, answer
from .test_batch import MISSING

SPAM = {"label": "spam", "score": 0.9, "scores": {"spam": 0.9, "ham": 0.1}}


def test_each_task_answers_by_itself(client: Polydelta, server: ScriptedServer) -> None:
    server.script(answer({"id": "infer-1", "results": [inference(SPAM), MISSING]}))
    found = client.infer_tasks(["spam", "topc"], "You won!", top=1)
    assert list(found) == ["spam", "topc"]
    assert isinstance(found["spam"], Inference)
    assert found["spam"].label == "spam"
    assert isinstance(found["topc"], NotFoundError)
    assert server.received[0].json == {
        "task": ["spam", "topc"],
        "input": "You won!",
        "parameters": {"top": 1},
    }


def test_many_texts_for_several_tasks(client: Polydelta, server: ScriptedServer) -> None:
    for size in (128, 72):
        part = inference(*[SPAM] * size)
        server.script(answer({"id": "infer-1", "results": [part, part]}))
    found = client.infer_tasks(["spam", "topic"], ["text"] * 200)
    assert [len(received.json["input"]) for received in server.received] == [128, 72]
    assert [len(getattr(result, "outputs", ())) for result in found.values()] == [200, 200]


def test_a_schema_for_several_tasks(client: Polydelta, server: ScriptedServer) -> None:
    number = inference({"text": "3", "finish_reason": "stop"})
    server.script(answer({"id": "infer-1", "results": [number]}))
    assert getattr(client.infer_tasks(["a"], "text", schema=int)["a"], "parsed", None) == 3


def test_nothing_is_sent_for_nothing(client: Polydelta, server: ScriptedServer) -> None:
    assert client.infer_tasks([], "text") == {}
    assert [getattr(each, "outputs", None) for each in client.infer_tasks(["a"], []).values()] == [
        []
    ]
    assert server.received == []
