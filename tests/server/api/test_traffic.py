"""Traffic: a task's requests shared among its versions, each answer saying which one it is of."""

import itertools
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
import torch
from prometheus_client.parser import text_string_to_metric_families

from deltas.base import BaseSpec
from deltas.delta import Delta
from tests import samples
from tests.server.api.live import Live, serving, wait_until
from tests.server.api.problems import check
from tests.server.engine.flaws import overflowing
from tests.server.engine.pacing import paced

NAME = "split"
URL = f"/v1/tasks/{NAME}"
TRAFFIC = f"{URL}/traffic"
VERSION = "x-polydelta-version"
SEEDS = itertools.count(1)


@pytest.fixture
def versions(live: Live) -> Iterator[list[str]]:
    """Two versions of a task, the first one active, of which no test has asked anything."""
    seeds = itertools.islice(SEEDS, 2)
    made = [live.add(NAME, samples.generator("lora", live.spec, seed=seed)) for seed in seeds]
    live.http.post(f"{URL}/activate", json={"version": 1})
    yield made
    live.http.delete(f"{URL}?forever=true")


def share(live: Live, headers: dict[str, str] | None = None, **shares: Any) -> httpx2.Response:
    return live.http.put(TRAFFIC, json=shares, headers=headers or {})


def answered_by(live: Live, key: str = "", **fields: Any) -> str:
    headers = {"x-session-id": key} if key else {}
    body = {"task": NAME, "input": "w005", "parameters": {"max_tokens": 1}, **fields}
    answer = live.http.post("/v1/infer", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers[VERSION] == answer.json()["version"]
    return answer.headers[VERSION]


def test_requests_are_shared_and_each_answer_says_by_whom(live: Live, versions: list[str]) -> None:
    put = share(live, v1=50, v2=50)
    assert put.status_code == 200, put.text
    keys = [f"session-{n}" for n in range(40)]
    first = [answered_by(live, key) for key in keys]
    assert set(first) == set(versions)
    assert [answered_by(live, key) for key in keys] == first
    assert {answered_by(live) for _ in range(40)} == set(versions)
    share(live, v2=1)
    assert {answered_by(live, key) for key in keys} == {versions[1]}
    assert live.http.delete(TRAFFIC).status_code == 204
    assert {answered_by(live, key) for key in keys} == {versions[0]}


def test_openais_users_are_keys_too(live: Live, versions: list[str]) -> None:
    share(live, v1=50, v2=50)
    seen: set[str] = set()
    for n in range(12):
        by_session = answered_by(live, f"user-{n}")
        seen.add(by_session)
        chat = {"messages": [{"role": "user", "content": "w005"}]}
        for route, body in (("chat/completions", chat), ("completions", {"prompt": "w005"})):
            for field in ("user", "safety_identifier"):
                told = {"model": NAME, "max_tokens": 1, field: f"user-{n}", **body}
                assert live.post(f"/v1/{route}", **told).headers[VERSION] == by_session
        told = {"model": NAME, "input": "w005", "max_output_tokens": 1, "user": f"user-{n}"}
        assert live.post("/v1/responses", **told).headers[VERSION] == by_session
    assert seen == set(versions)


def test_streams_and_failures_say_who_answers_them(live: Live, versions: list[str]) -> None:
    share(live, v2=1)
    told = {"model": NAME, "prompt": "w005", "max_tokens": 2}
    assert live.post("/v1/completions", **told, stream=True).headers[VERSION] == versions[1]
    long = live.post("/v1/completions", model=NAME, prompt="w005 " * 5000)
    assert (long.status_code, long.headers[VERSION]) == (400, versions[1])
    named = live.post("/v1/completions", **{**told, "model": f"{NAME}@1"})
    assert named.headers[VERSION] == versions[0]
    assert VERSION not in live.post("/v1/completions", **{**told, "model": "base"}).headers
    assert VERSION not in live.http.get(URL).headers


def test_all_of_a_request_goes_to_one_version(live: Live, versions: list[str]) -> None:
    share(live, v1=50, v2=50)
    texts = {which: text for which in "12" if (text := text_of(live, f"{NAME}@{which}"))}
    assert texts["1"] != texts["2"]
    for _ in range(10):
        answer = live.infer(NAME, ["w005 w006"] * 3, max_tokens=8, n=2)
        which = f"{1 + versions.index(answer['version'])}"
        assert {output["text"] for output in answer["outputs"]} == {texts[which]}


def text_of(live: Live, task: str) -> str:
    return live.infer(task, "w005 w006", max_tokens=8)["outputs"][0]["text"]


def test_traffic_is_shown_as_it_is(live: Live, versions: list[str]) -> None:
    alone = live.http.get(TRAFFIC)
    assert alone.json()["shared"] is False
    assert [(v["version"], v["percent"]) for v in alone.json()["versions"]] == [(versions[0], 100)]
    live.http.put(f"{URL}/aliases/next", json={"version": 2})
    put = share(live, v1=3, next=1, shadow=2, step_back={"errors": 0.1, "window": 30})
    assert put.json() == live.http.get(TRAFFIC).json()
    shown = put.json()
    assert [(v["number"], v["share"], v["percent"], v["active"]) for v in shown["versions"]] == [
        (2, 1, 25.0, False),
        (1, 3, 75.0, True),
    ]
    assert [v["shadow"] for v in shown["versions"]] == [True, False]
    assert shown["step_back"] == {"errors": 0.1, "window": 30.0, "requests": 20}
    assert live.http.get(TRAFFIC).headers["etag"] == put.headers["etag"] != alone.headers["etag"]
    for condition in (alone.headers["etag"], f'"{versions[1]}"'):
        stale = share(live, {"if-match": condition}, v1=1)
        check(stale, 412, "precondition_failed", "task")
    assert share(live, {"if-match": put.headers["etag"]}, v1=1, v2=2).status_code == 200
    assert share(live, {"if-match": f'"{versions[0]}"'}, v1=1, v2=3).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"v1": 0},
        {"v1": -1},
        {"v1": 1.5},
        {"v1": "50"},
        {"v1": True},
        {"v1": 1, "1": 2},
        {"v1": 10**7},
        {"v1": 1, "shadow": {}},
        {"v1": 1, "step_back": {}},
        {"v1": 1, "step_back": {"errors": 1}},
        {"v1": 1, "step_back": {"errors": 0.1, "window": 0}},
        {str(n): 1 for n in range(1, 5000)},
    ],
)
def test_what_is_no_share_is_refused(
    live: Live, versions: list[str], body: dict[str, object]
) -> None:
    before = live.http.get(TRAFFIC).json()
    refused = live.http.put(TRAFFIC, json=body)
    assert refused.status_code in (400, 404), refused.text
    assert live.http.get(TRAFFIC).json() == before


def test_who_shares_must_be_there(live: Live, versions: list[str]) -> None:
    said = check(share(live, v1=1, v7=1), 404, "task_not_found", "task")
    assert f"{NAME}@2, {NAME}@1" in said
    check(share(live, v1=1, shadow="none"), 404, "task_not_found", "task")
    check(live.http.put("/v1/tasks/unheard/traffic", json={"v1": 1}), 404, "task_not_found", "task")
    check(live.http.get("/v1/tasks/unheard/traffic"), 404, "task_not_found", "task")


def test_a_version_is_put_without_answering(live: Live, versions: list[str]) -> None:
    third = live.write("third", samples.generator("lora", live.spec, seed=3))
    put = live.http.put(f"{URL}?activate=false", json={"source": third.as_uri()})
    assert (put.status_code, put.json()["version"]) == (201, versions[0])
    assert [v["number"] for v in put.json()["versions"]] == [1, 3, 2]
    assert answered_by(live) == versions[0]
    share(live, v3=1)
    assert answered_by(live) not in versions


def shown(live: Live, number: int) -> dict[str, Any]:
    """What the server says of a version."""
    versions = live.http.get(TRAFFIC).json()["versions"]
    return next(each for each in versions if each["number"] == number)


def completed(live: Live, task: str, prompt: str, **options: Any) -> tuple[str, list[int]]:
    body = {"model": task, "prompt": prompt, "max_tokens": 12, "return_token_ids": True, **options}
    (choice,) = live.post("/v1/completions", **body).json()["choices"]
    return choice["text"], choice["token_ids"]


def likeness(one: list[int], other: list[int]) -> float:
    pairs = list(itertools.zip_longest(one, other))
    return len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))) / len(pairs)


def test_a_shadow_is_compared_and_never_seen(live: Live, versions: list[str]) -> None:
    prompts = [f"w{n:03} w{n + 7:03} w011" for n in range(20, 44)]
    ours, theirs = (
        [completed(live, f"{NAME}@{which}", each, seed=1) for each in prompts] for which in "12"
    )
    share(live, shadow="v2")
    requests = live.http.get(URL).json()["requests"]
    assert [completed(live, NAME, each, seed=1) for each in prompts] == ours
    wait_until(lambda: shown(live, 2)["compared"]["answers"] == len(prompts))
    found = shown(live, 2)
    compared = found["compared"]
    pairs = list(zip(ours, theirs, strict=True))
    assert compared["equal"] == sum(one[0] == two[0] for one, two in pairs) / len(pairs)
    expected = sum(likeness(one[1], two[1]) for one, two in pairs) / len(pairs)
    assert 0 < expected < 1
    assert compared["likeness"] == pytest.approx(expected)
    assert (compared["failed"], compared["dropped"], found["requests"]) == (0, 0, 0)
    assert shown(live, 1)["requests"] == len(prompts)
    assert live.http.get(URL).json()["requests"] == requests + len(prompts)


def idle(live: Live, seed: int) -> Delta:
    """A delta that changes nothing, and differs from others of its sort."""
    delta = samples.generator("lora", live.spec, seed=seed)
    parts = [
        replace(part, tensors={**part.tensors, "b": torch.zeros_like(part.tensors["b"])})
        for part in delta.parts
    ]
    return replace(delta, parts=tuple(parts))


def test_a_shadow_has_the_same_luck(live: Live) -> None:
    """What is drawn at random is drawn alike, or nothing could be compared."""
    for seed in (1, 2):
        live.add("lucky", idle(live, seed))
    live.http.put("/v1/tasks/lucky/traffic", json={"shadow": "v1"})
    drawn = {completed(live, "lucky", "w005 w006", temperature=1.5)[0] for _ in range(4)}
    assert len(drawn) > 1
    wait_until(lambda: seen(live, "lucky")["answers"] == 4)
    assert (seen(live, "lucky")["equal"], seen(live, "lucky")["likeness"]) == (1, 1)


@pytest.mark.parametrize("stream", [False, True])
def test_who_hangs_up_has_no_shadow(live: Live, versions: list[str], stream: bool) -> None:
    share(live, shadow="v2")
    body = {"model": NAME, "prompt": "w005", "max_tokens": 30, "stream": stream}
    with paced(live.engine) as steps:
        with live.send("/v1/completions", **body):
            steps.begin(1)
            wait_until(lambda: live.engine.stats().running == 1)
        # Steps are held until the server knows: it could have answered otherwise.
        live.settle()
    assert shown(live, 2)["compared"] == shown(live, 1)["compared"]
    assert shown(live, 1)["requests"] == 0


@pytest.mark.parametrize("task", ["sorted", "placed"])
def test_shadows_of_heads_are_compared_by_label_and_cosine(live: Live, task: str) -> None:
    labels = ("ham", "spam", "odd")
    deltas = {
        "sorted": [samples.classifier(live.spec, labels, seed=seed) for seed in (1, 2)],
        "placed": [samples.embedder(), beside(samples.embedder(), "lora", live.spec)],
    }
    texts = [f"w{n:03} w011 w{n + 3:03}" for n in range(20, 32)]
    for delta in deltas[task]:
        live.add(task, delta)
    outputs = [live.infer(f"{task}@{which}", texts)["outputs"] for which in "21"]
    live.http.put(f"/v1/tasks/{task}/traffic", json={"shadow": "1"})
    assert live.infer(task, texts)["outputs"] == outputs[0]
    wait_until(lambda: seen(live, task)["answers"] == len(texts))
    pairs = list(zip(*outputs, strict=True))
    if task == "sorted":
        likes = [float(one["label"] == two["label"]) for one, two in pairs]
        assert seen(live, task)["equal"] == sum(likes) / len(likes)
    else:
        likes = [
            float(torch.tensor(one["embedding"]) @ torch.tensor(two["embedding"]))
            for one, two in pairs
        ]
    assert seen(live, task)["likeness"] == pytest.approx(sum(likes) / len(likes))
    assert len(set(likes)) > 1


def seen(live: Live, task: str) -> dict[str, Any]:
    versions = live.http.get(f"/v1/tasks/{task}/traffic").json()["versions"]
    return next(each["compared"] for each in versions if each["number"] == 1)


def beside(head: Delta, kind: str, spec: BaseSpec) -> Delta:
    """A head over a base that is changed, too."""
    return replace(head, parts=(*head.parts, *samples.generator(kind, spec).parts))


def test_a_version_that_fails_steps_back(live: Live, versions: list[str]) -> None:
    broken = live.write("overflowing", overflowing(live.spec))
    live.http.put(f"{URL}?activate=false", json={"source": broken.as_uri()})
    put = share(live, v1=1, v3=1, step_back={"errors": 0.5, "window": 60, "requests": 5})
    etag = put.headers["etag"]
    statuses = [
        live.post("/v1/infer", task=NAME, input="w005", parameters={"max_tokens": 1}).status_code
        for _ in range(30)
    ]
    assert set(statuses) <= {200, 500}
    wait_until(lambda: shown(live, 3)["share"] == 0)
    found = shown(live, 3)
    assert found["failed"] >= 5
    assert found["stepped_back"]["share"] == 1
    failed = found["failed"]
    assert f"{5} of {5} requests failed within 60 s" in found["stepped_back"]["reason"]
    assert live.http.get(TRAFFIC).headers["etag"] != etag
    assert {answered_by(live) for _ in range(20)} == {versions[0]}
    assert shown(live, 3)["failed"] == failed
    metrics = live.http.get("/metrics").text
    labels = f'{{task="{NAME}",version="3"}}'
    assert f"polydelta_version_steps_back_total{labels} 1.0" in metrics
    # A share can be given again, and is then as any other.
    assert share(live, v1=1, v3=1).json()["versions"][0]["stepped_back"] is None


def test_errors_of_callers_and_of_the_active_version_take_no_share(
    live: Live, versions: list[str]
) -> None:
    bound = {"errors": 0.0, "window": 60, "requests": 1}
    share(live, v2=1, step_back=bound)
    for _ in range(5):
        live.post("/v1/completions", model=NAME, prompt="w005 " * 5000)
    assert (shown(live, 2)["failed"], shown(live, 2)["share"]) == (0, 1)
    broken = live.write("broken", overflowing(live.spec))
    live.http.put(f"{URL}?activate=true", json={"source": broken.as_uri()})
    share(live, v3=1, v1=0, step_back=bound)
    before = shown(live, 3)["failed"]
    for _ in range(5):
        assert live.post("/v1/infer", task=NAME, input="w005").status_code == 500
    assert (shown(live, 3)["failed"], shown(live, 3)["share"]) == (before + 5, 1)


def test_metrics_tell_versions_apart(live: Live, versions: list[str]) -> None:
    share(live, v2=1, shadow="v1")
    for _ in range(3):
        answered_by(live)
    wait_until(lambda: shown(live, 1)["compared"]["answers"] == 3)
    found = {
        (sample.name, sample.labels.get("version"), sample.labels.get("outcome")): sample.value
        for family in text_string_to_metric_families(live.http.get("/metrics").text)
        for sample in family.samples
        if sample.labels.get("task") == NAME and sample.labels.get("le") in (None, "+Inf")
    }
    assert found["polydelta_version_requests_total", "2", "answered"] == 3
    assert found["polydelta_version_latency_seconds_bucket", "2", None] == 3
    assert found["polydelta_version_time_to_first_token_seconds_count", "2", None] == 3
    assert found["polydelta_shadow_agreement_count", "1", None] == 3
    seconds = shown(live, 2)["seconds"]
    assert seconds["whole"] >= seconds["first_token"] > 0
    assert seconds["whole_p99"] >= seconds["whole_p50"] > 0
    assert seconds["first_token_p99"] >= seconds["first_token_p50"] > 0


def test_a_version_whose_files_are_lost_steps_back(decoder: Path, tmp_path: Path) -> None:
    """Another server that shares the store follows, with the reason."""
    with serving(decoder, tmp_path) as live, serving(decoder, tmp_path) as other:
        for seed in (1, 2):
            live.add(NAME, samples.generator("lora", live.spec, seed=seed))
        live.http.post(f"{URL}/activate", json={"version": 1})
        share(live, v1=1, v2=1, step_back={"errors": 0.2, "requests": 4})
        wait_until(lambda: other.http.get(TRAFFIC).json()["shared"])
        # Nothing of it is in the memory of the server that has not put it.
        digest = shown(live, 2)["digest"]
        shutil.rmtree(tmp_path / "store" / "blobs" / digest)
        for n in range(60):
            told = {"model": NAME, "prompt": "w005", "max_tokens": 1, "user": f"{n}"}
            assert other.post("/v1/completions", **told).status_code in (200, 503)
        wait_until(lambda: shown(live, 2)["share"] == 0)
        assert shown(other, 2)["stepped_back"] == shown(live, 2)["stepped_back"]
        assert shown(other, 2)["failed"] >= 4
        assert shown(live, 2)["failed"] == 0
