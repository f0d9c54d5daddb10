"""One input for several tasks: each answers as it does alone, an encoder's in one step."""

from typing import Any

import pytest

from deltas.base import HEAD_SITE
from deltas.delta import Delta, Part, TaskType
from server.model.batch import Item
from tests import samples
from tests.server.api.live import Live
from tests.server.api.problems import check

TEXT = "You won a prize! Call now to claim it."


def posted(live: Live, **body: Any) -> Any:
    response = live.post("/v1/infer", **body)
    assert response.status_code == 200, response.text
    return response.json()


def test_each_task_answers_as_alone(live: Live, reader: Live):
    for server, tasks in (
        (live, ["spam", "base", "lora", "prefix"]),
        (reader, ["topic", "base", "names"]),
    ):
        found = posted(server, task=tasks, input=[TEXT, "noon"], parameters={"max_tokens": 4})
        assert [each["task"] for each in found["results"]] == tasks
        for each in found["results"]:
            alone = server.infer(each["task"], [TEXT, "noon"], max_tokens=4)
            for field in ("version", "kind", "outputs"):
                assert each[field] == alone[field]
            assert each["usage"]["prompt_tokens"] == alone["usage"]["prompt_tokens"]


def test_an_encoder_reads_for_all_of_them_in_one_step(reader: Live, monkeypatch: Any):
    for name in ("one", "other"):
        reader.add(name, samples.classifier(reader.spec, ("no", "yes"), kind="lora", seed=3))
    tasks = ["topic", "one", "other", "names", "base"]
    # Once all are at hand, none waits for its delta.
    posted(reader, task=tasks, input=TEXT)
    steps: list[int] = []
    forward = reader.engine.runner.forward

    def counted(items: list[Item]) -> Any:
        steps.append(len(items))
        return forward(items)

    monkeypatch.setattr(reader.engine.runner, "forward", counted)
    posted(reader, task=tasks, input=[TEXT, "noon"])
    assert steps == [2 * len(tasks)]
    requests = [{"task": task, "input": TEXT} for task in tasks]
    requests.insert(2, {"task": "nobody", "input": TEXT})
    requests.insert(0, {"task": 7, "input": TEXT})
    steps.clear()
    results = reader.post("/v1/infer/batch", requests=requests).json()["results"]
    assert steps == [len(tasks)]
    assert ["error" in each for each in results] == [True, False, False, True, *[False] * 3]
    for name in ("one", "other"):
        reader.http.delete(f"/v1/tasks/{name}")


def test_one_that_fails_keeps_the_others_from_nothing(live: Live):
    found = posted(live, task=["spam", "nobody"], input=TEXT)["results"]
    assert found[0]["outputs"] == live.infer("spam", TEXT)["outputs"]
    assert (found[1]["error"]["status"], found[1]["error"]["code"]) == (404, "task_not_found")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"task": [], "input": TEXT}, "task"),
        ({"task": ["spam", 1], "input": TEXT}, "task.1"),
        ({"task": 1, "input": TEXT}, "task"),
        ({"task": ["spam"] * 65, "input": TEXT}, "task"),
        ({"task": ["spam"] * 64, "input": ["x"] * 5}, "input"),
        ({"task": ["base"], "input": TEXT, "stream": True}, "stream"),
    ],
)
def test_bounds(live: Live, body: dict[str, Any], param: str):
    check(live.post("/v1/infer", **body), 400, "invalid_request", param)


def test_a_task_for_each_text_of_one_request(reader: Live, monkeypatch: Any):
    pooled = Part("head", HEAD_SITE, {}, {"pooling": "first"})
    reader.add("first", Delta(TaskType.EMBED, (pooled,)))
    steps: list[int] = []
    forward = reader.engine.runner.forward

    def counted(items: list[Item]) -> Any:
        steps.append(len(items))
        return forward(items)

    for _ in range(2):
        # The first time, one of them may wait for its delta.
        monkeypatch.setattr(reader.engine.runner, "forward", counted)
        steps.clear()
        found = reader.post("/v1/embeddings", model=["first", "base", "first"], input=[TEXT] * 3)
        assert found.status_code == 200, found.text
    assert steps == [3]
    rows = found.json()["data"]
    assert [row["model"] for row in rows] == ["first", "base", "first"]
    for row in rows:
        (native,) = reader.infer(row["model"], TEXT)["outputs"]
        assert row["embedding"] == native["embedding"]
    reader.http.delete("/v1/tasks/first")
    body = {"model": ["base"], "input": [TEXT] * 2}
    check(reader.post("/v1/embeddings", **body), 400, "invalid_request", "model")
    body = {"model": ["base", "topic"], "input": [TEXT] * 2}
    check(reader.post("/v1/embeddings", **body), 400, "capability_mismatch", "model")
