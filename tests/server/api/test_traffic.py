"""Traffic: a task's requests shared among its versions, each answer saying which one it is of."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests import samples
from tests.server.api.live import Live
from tests.server.api.problems import check

NAME = "split"
URL = f"/v1/tasks/{NAME}"
TRAFFIC = f"{URL}/traffic"
VERSION = "x-polydelta-version"


@pytest.fixture
def versions(live: Live) -> Iterator[list[str]]:
    """Two versions of a task, the first one active."""
    made = [live.add(NAME, samples.generator("lora", live.spec, seed=seed)) for seed in (1, 2)]
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
