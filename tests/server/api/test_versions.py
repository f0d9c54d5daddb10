"""Versions of tasks: listed, gone back to, named, removed in time, and there after a restart."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from deltas.formats import native
from polydelta_client import Polydelta
from server.registry.names import shared
from tests import samples
from tests.server.api.live import Live, serving, wait_until
from tests.server.api.problems import check

NAME = "versioned"
URL = f"/v1/tasks/{NAME}"


@pytest.fixture
def versions(live: Live) -> Iterator[list[str]]:
    """Two versions of a task, the second one active."""
    yield [live.add(NAME, samples.generator("lora", live.spec, seed=seed)) for seed in (1, 2)]
    live.http.delete(f"{URL}?forever=true")


def text_of(live: Live, task: str) -> str:
    """What a task makes of a fixed prompt."""
    answer = live.infer(task, "w005 w006", max_tokens=8)
    assert answer["task"] == NAME
    return answer["outputs"][0]["text"]


def listed(live: Live) -> list[dict[str, Any]]:
    return live.http.get(f"{URL}/versions").json()["versions"]


def activate(live: Live, version: str | float, **headers: str) -> httpx2.Response:
    return live.http.post(f"{URL}/activate", json={"version": version}, headers=headers)


def test_every_version_can_be_asked_and_gone_back_to(live: Live, versions: list[str]) -> None:
    first, second = versions
    assert [(v["version"], v["active"]) for v in listed(live)] == [(second, True), (first, False)]
    assert [v["number"] for v in live.http.get(URL).json()["versions"]] == [2, 1]
    old, new = text_of(live, f"{NAME}@{first}"), text_of(live, NAME)
    assert old != new
    for which in ("1", "v1", first[:6]):
        assert text_of(live, f"{NAME}@{which}") == old
    gone_back = activate(live, 1, **{"if-match": f'"{second}"'})
    assert (gone_back.status_code, gone_back.headers["etag"]) == (200, f'"{first}"')
    assert gone_back.json()["version"] == first
    assert text_of(live, NAME) == old
    assert text_of(live, f"{NAME}@2") == new
    assert [v["active"] for v in listed(live)] == [False, True]


def test_a_versions_number_is_one_however_it_is_written(live: Live, versions: list[str]) -> None:
    """As JSON Schema has it, by which the OpenAPI document says what is taken."""
    assert activate(live, 1.0).json()["version"] == versions[0]
    for none in (0.0, 1.5, 1e300, 1864.0):
        assert activate(live, none).status_code in (400, 404)
    assert activate(live, 2.0).json()["version"] == versions[1]


def test_a_version_tells_no_path(live: Live, versions: list[str]) -> None:
    assert {v["source"] for v in listed(live)} == {"directory"}
    delta = live.write("uploaded", samples.generator("lora", live.spec, seed=3))
    files = [("files", (path.name, path.read_bytes())) for path in delta.iterdir()]
    shown = live.http.put(URL, files=files)
    assert shown.json()["versions"][0]["source"] == "upload"
    assert str(live.folder) not in shown.text + live.http.get(f"{URL}/versions").text


def test_a_version_tells_what_came_with_its_delta(live: Live, versions: list[str]) -> None:
    verdict = {"held_out": "mail", "measure": "accuracy", "delta": 0.75, "examples": 8}
    card: dict[str, Any] = {"command": "make it", "loss": 2, "sound": True, "held_out": [verdict]}
    cards = (card, {"long": "x" * 9000}, {"\x1b[31m": 1, "held_out": [1, {"delta": "x"}]})
    for seed, told in enumerate(cards, 3):
        directory = live.folder / f"carded-{seed}"
        delta = samples.generator("lora", live.spec, seed=seed)
        native.write(delta, directory, live.spec, told)
        put = live.http.put(URL, json={"source": directory.as_uri()})
        assert put.status_code == 201
    odd, long, sound, *bare = listed(live)
    assert (sound["card"], long["card"], odd["card"]) == (cards[0], None, cards[2])
    assert sound["scores"] == {"loss": 2, "accuracy on mail": 0.75}
    assert all(each["scores"] == {} for each in (odd, long, *bare))
    assert all(each["card"] is None and each["by"] is None for each in bare)
    with Polydelta(live.url) as client:
        read = client.tasks.versions(NAME)[2]
    assert (read.card, read.scores, read.by) == (card, sound["scores"], None)


def test_an_alias_stays_where_it_is_put(live: Live, versions: list[str]) -> None:
    first, _ = versions
    old = text_of(live, f"{NAME}@1")
    put = live.http.put(f"{URL}/aliases/champion", json={"version": first})
    assert [v["aliases"] for v in put.json()["versions"]] == [[], ["champion"]]
    for seed in range(3, 10):
        live.add(NAME, samples.generator("lora", live.spec, seed=seed))
    assert text_of(live, f"{NAME}@champion") == old
    # It is kept though there are more versions than are.
    assert [v["number"] for v in listed(live)] == [9, 8, 7, 6, 5, 1]
    assert activate(live, "champion").json()["version"] == first
    assert live.http.delete(f"{URL}/aliases/champion").status_code == 204
    check(live.post("/v1/infer", task=f"{NAME}@champion", input="a"), 404, "task_not_found", "task")


def test_a_removed_task_comes_back(live: Live, versions: list[str]) -> None:
    answer = text_of(live, NAME)
    assert live.http.delete(URL).status_code == 204
    check(live.http.get(URL), 404, "task_not_found", "task")
    check(live.post("/v1/infer", task=f"{NAME}@1", input="a"), 404, "task_not_found", "task")
    assert [v["active"] for v in listed(live)] == [False, False]
    assert activate(live, versions[1]).status_code == 200
    assert text_of(live, NAME) == answer


def test_what_is_removed_forever_does_not_come_back(live: Live, versions: list[str]) -> None:
    live.http.delete(URL)
    assert live.http.delete(f"{URL}?forever=true").status_code == 204
    check(live.http.get(f"{URL}/versions"), 404, "task_not_found", "task")
    check(activate(live, versions[0]), 404, "task_not_found", "task")
    check(live.http.delete(f"{URL}?forever=true"), 404, "task_not_found", "task")
    assert live.add(NAME, samples.generator("lora", live.spec, seed=1)) == versions[0]
    assert [v["number"] for v in listed(live)] == [1]


def test_changes_hold_to_their_conditions(live: Live, versions: list[str]) -> None:
    first, second = versions
    stale = {"if-match": f'"{first}"'}
    alias = f"{URL}/aliases/champion"
    for refused in (
        activate(live, 1, **stale),
        live.http.delete(URL, headers=stale),
        live.http.put(alias, json={"version": 1}, headers=stale),
        live.http.delete(alias, headers=stale),
    ):
        check(refused, 412, "precondition_failed", "task")
    assert live.http.get(URL).headers["etag"] == f'"{second}"'
    assert not any(v["aliases"] for v in listed(live))


@pytest.mark.parametrize("which", ["3", "v9", "nothing", "abc", "0" * 64, "@"])
def test_a_version_that_is_not_there_names_those_that_are(
    live: Live, versions: list[str], which: str
) -> None:
    said = check(activate(live, which), 404, "task_not_found", "task")
    assert f"{NAME}@2, {NAME}@1" in said
    said = check(
        live.post("/v1/infer", task=f"{NAME}@{which}", input="a"), 404, "task_not_found", "task"
    )
    assert f"{NAME}@2, {NAME}@1" in said


@pytest.mark.parametrize("alias", ["7", "v7", "a b", "-a", "a@b", "0123456789ab", "f" * 64])
def test_an_alias_is_a_plain_name_and_no_number(
    live: Live, versions: list[str], alias: str
) -> None:
    put = live.http.put(f"{URL}/aliases/{alias}", json={"version": 1})
    check(put, 400, "invalid_request", "alias")


def test_an_alias_is_no_other_versions_digest(live: Live, versions: list[str]) -> None:
    first, second = versions
    for alias in (second[:4], second[:11]):
        put = live.http.put(f"{URL}/aliases/{alias}", json={"version": 1})
        assert "version 2" in check(put, 400, "invalid_request", "alias")
    assert live.http.put(f"{URL}/aliases/{first[:4]}x", json={"version": 2}).status_code == 200


def test_a_number_in_json_is_a_number_alone(live: Live, versions: list[str]) -> None:
    digits = 1234
    live.engine.registry.versions.alias(shared(NAME), f"{digits}x", 1)
    check(activate(live, digits), 404, "task_not_found", "task")
    put = live.http.put(f"{URL}/aliases/champion", json={"version": digits})
    check(put, 404, "task_not_found", "task")
    for odd in (0, -1, True, 1.5, 1 << 70):
        refused = live.http.post(f"{URL}/activate", json={"version": odd})
        assert refused.status_code in (400, 404)
        assert refused.json()["error"]["code"] in ("invalid_request", "task_not_found")
    assert activate(live, 1).status_code == 200


def test_a_version_is_shown_and_not_changed(live: Live, versions: list[str]) -> None:
    first, second = versions
    live.http.put(f"{URL}/aliases/champion", json={"version": 1})
    for which, version in (("1", first), ("champion", first), (second[:8], second)):
        shown = live.http.get(f"{URL}@{which}")
        assert (shown.json()["id"], shown.json()["version"]) == (NAME, version)
        assert [v["version"] for v in shown.json()["versions"] if v["active"]] == [second]
        assert shown.headers["etag"] == f'"{version}"'
        model = live.http.get(f"/v1/models/{NAME}@{which}").json()
        assert (model["id"], model["root"]) == (f"{NAME}@{which}", NAME)
    for place in ("tasks", "models"):
        param = "task" if place == "tasks" else "model"
        code = "task_not_found" if place == "tasks" else "model_not_found"
        check(live.http.get(f"/v1/{place}/{NAME}@9"), 404, code, param)
        check(live.http.get(f"/v1/{place}/.@9"), 400, "invalid_request", "name")
    for refused in (
        live.http.delete(f"{URL}@1"),
        live.http.put(f"{URL}@1", json={"source": live.folder.as_uri()}),
        live.http.post(f"{URL}@1/activate", json={"version": 1}),
        live.http.get(f"{URL}@1/versions"),
    ):
        assert "leave out the @" in check(refused, 400, "invalid_request", "name")


def test_a_version_may_be_named_wherever_a_task_is(live: Live) -> None:
    name, alias = "n" * 128, "z" * 128
    live.add(name, samples.generator("lora", live.spec, seed=1))
    live.http.put(f"/v1/tasks/{name}/aliases/{alias}", json={"version": 1})
    asked = f"{name}@{alias}"
    assert live.infer(asked, "a", max_tokens=1)["task"] == name
    for path, body in (
        ("/v1/completions", {"prompt": "a", "max_tokens": 1}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "a"}], "max_tokens": 1}),
        ("/v1/responses", {"input": "a", "max_output_tokens": 1}),
        ("/tokenize", {"prompt": "a"}),
        ("/", {"inputs": "a"}),
    ):
        answer = live.post(path, model=asked, **body)
        assert answer.status_code == 200, (path, answer.text)
    for place in ("tasks", "models"):
        assert live.http.get(f"/v1/{place}/{asked}").status_code == 200
        check(live.http.get(f"/v1/{place}/{asked}a"), 400, "invalid_request", "name")
    live.http.delete(f"/v1/tasks/{name}?forever=true")


@pytest.mark.parametrize("tags", ["", ",", 'W/"{new}"', '"{old}"', '"{old}", W/"{new}"', '"*"'])
def test_a_condition_that_does_not_hold(live: Live, versions: list[str], tags: str) -> None:
    condition = tags.format(old=versions[0], new=versions[1])
    check(activate(live, 1, **{"if-match": condition}), 412, "precondition_failed", "task")


@pytest.mark.parametrize(
    "tags", ["*", '"{new}"', '"{old}", "{new}"', ', "{new}" ,', '"a,b","{new}"']
)
def test_a_condition_that_holds(live: Live, versions: list[str], tags: str) -> None:
    condition = tags.format(old=versions[0], new=versions[1])
    assert activate(live, 1, **{"if-match": condition}).status_code == 200


def test_conditions_of_several_lines_are_one_list(live: Live, versions: list[str]) -> None:
    lines = [("if-match", f'"{version}"') for version in versions]
    done = live.http.post(f"{URL}/activate", json={"version": 1}, headers=lines)
    assert done.status_code == 200


@pytest.mark.parametrize("tags", ["{new}", '"{new}', '*, "{new}"', '"{old}" "{new}"'])
def test_a_condition_that_is_none_is_told(live: Live, versions: list[str], tags: str) -> None:
    condition = tags.format(old=versions[0], new=versions[1])
    refused = activate(live, 1, **{"if-match": condition})
    assert "double quotes" in check(refused, 400, "invalid_request", "if-match")


def test_a_client_that_has_a_version_is_told_so(live: Live, versions: list[str]) -> None:
    first, second = versions
    for known in (f'"{second}"', f'W/"{second}"', f'"{first}", "{second}"', "*"):
        assert live.http.get(URL, headers={"if-none-match": known}).status_code == 304
    for other in ("", f'"{first}"', f'"{second}x"', f'"x{second}"'):
        assert live.http.get(URL, headers={"if-none-match": other}).status_code == 200


def test_a_task_of_which_nothing_is_known(live: Live) -> None:
    check(live.http.get("/v1/tasks/unheard/versions"), 404, "task_not_found", "task")
    activated = live.http.post("/v1/tasks/unheard/activate", json={"version": 1})
    check(activated, 404, "task_not_found", "task")


def test_a_task_with_a_time_to_live_goes_by_itself(live: Live) -> None:
    directory = live.write("short-lived", samples.generator("lora", live.spec, seed=3))
    body = {"source": directory.as_uri()}
    put = live.http.put("/v1/tasks/brief?ttl_seconds=1", json=body)
    assert put.status_code == 201
    wait_until(lambda: live.http.get("/v1/tasks/brief").status_code == 404)
    check(
        live.http.put("/v1/tasks/brief?ttl_seconds=0", json=body),
        400,
        "invalid_request",
        "ttl_seconds",
    )


def test_tasks_outlast_their_server_and_are_shared(decoder: Path, tmp_path: Path) -> None:
    with serving(decoder, tmp_path) as first:
        for seed in (1, 2):
            first.add(NAME, samples.generator("lora", first.spec, seed=seed))
        first.http.put(f"{URL}/aliases/champion", json={"version": 1})
        answers = [text_of(first, name) for name in (NAME, f"{NAME}@champion")]
        shown = first.http.get(f"{URL}/versions").json()
        with serving(decoder, tmp_path) as second:
            assert second.http.get(f"{URL}/versions").json() == shown
            assert [text_of(second, name) for name in (NAME, f"{NAME}@champion")] == answers
            activate(first, 1)
            wait_until(lambda: text_of(second, NAME) == answers[1])
            second.http.delete(URL)
            wait_until(lambda: first.http.get(URL).status_code == 404)
    with serving(decoder, tmp_path) as third:
        check(third.http.get(URL), 404, "task_not_found", "task")
        activate(third, 2)
        assert text_of(third, NAME) == answers[0]


def test_a_base_sees_its_own_tasks_alone(decoder: Path, encoder: Path, tmp_path: Path) -> None:
    with serving(decoder, tmp_path) as first, serving(encoder, tmp_path) as second:
        first.add(NAME, samples.generator("lora", first.spec, seed=1))
        second.add(NAME, samples.classifier(second.spec, ("no", "yes")))
        for live, kind in ((first, "generate"), (second, "classify")):
            assert live.http.get(URL).json()["type"] == kind
            assert len(listed(live)) == 1
