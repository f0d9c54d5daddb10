import itertools
import json
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from server.registry.names import TaskName
from server.registry.registration import Registration
from server.registry.staging import Staging
from tests import samples
from tests.disks import full_disk
from tests.server.api.live import PATIENCE, Live, serving
from tests.server.api.problems import check
from tests.server.engine.pacing import slowed

URL = "/v1/tasks/fresh"


@pytest.fixture
def directory(live: Live) -> Iterator[Path]:
    """A delta on disk; the task made of it is removed afterwards."""
    yield live.write("fresh", samples.classifier(live.spec, ("no", "yes"), seed=1))
    live.http.delete(URL)


def upload(live: Live, directory: Path, **headers: str) -> httpx2.Response:
    files = [("files", (path.name, path.read_bytes())) for path in sorted(directory.iterdir())]
    return live.http.put(URL, files=files, headers=headers)


def test_a_task_is_shown_as_the_contract_says(live: Live, directory: Path):
    response = live.http.put(URL, json={"source": directory.as_uri()})
    assert response.status_code == 201
    task = response.json()
    (version,) = task["versions"]
    assert version["digest"].startswith(task["version"])
    assert version["kind"] == task["kind"] == "lora+head"
    # What was just put may be in host memory already.
    assert task["resident"] in {"disk", "host"}
    assert task == {
        "id": "fresh",
        "tenant": "",
        "type": "classify",
        "kind": "lora+head",
        "kinds": ["lora", "head"],
        "version": version["version"],
        "versions": [version],
        "labels": ["no", "yes"],
        "resident": task["resident"],
        "bytes": version["bytes"],
        "requests": 0,
        "last_error": None,
        "base": "tiny-llama",
        "warnings": [],
    }
    live.infer("fresh", "hello")
    used = live.http.get(URL).json()
    assert used == task | {"resident": "device", "requests": 1}
    assert used in live.http.get("/v1/tasks").json()["tasks"]


def test_a_delta_that_changes_nothing_is_told(live: Live):
    trained = samples.classifier(live.spec, ("no", "yes"))
    parts = [
        part if part.kind == "head" else part.over([tensor * 0 for tensor in part.memory])
        for part in trained.parts
    ]
    directory = live.write("idle", replace(trained, parts=tuple(parts)))
    try:
        put = live.http.put(URL, json={"source": directory.as_uri()}).json()
        (warning,) = put["warnings"]
        assert "'lora' changes nothing" in warning
        again = live.http.put(URL, json={"source": directory.as_uri()}).json()
        assert again["warnings"] == live.http.get(URL).json()["warnings"] == [warning]
    finally:
        live.http.delete(URL)


def test_the_base_is_a_task_that_is_always_there(live: Live):
    base = live.http.get("/v1/tasks/base").json()
    assert (base["kind"], base["type"], base["resident"]) == ("base", "generate", "device")
    assert live.infer("base", "hello", max_tokens=1)["version"] == base["version"]


def test_the_same_delta_again_changes_nothing(live: Live, directory: Path):
    assert upload(live, directory).status_code == 201
    again = live.http.put(URL, json={"source": str(directory)})
    assert again.status_code == 200
    created = upload(live, directory, **{"if-none-match": "*"})
    assert created.status_code == 200
    assert created.json() == again.json()


def test_an_error_is_told_for_as_long_as_its_version_is_there(live: Live, directory: Path):
    other = live.write("other", samples.classifier(live.spec, ("a", "b", "c"), seed=2))
    failed = upload(live, directory).json()["version"]
    assert live.post("/v1/infer", task="fresh", input="word " * 3000).status_code == 400
    assert live.http.get(URL).json()["last_error"]["version"] == failed
    live.http.delete(URL)
    upload(live, other)
    assert live.http.get(URL).json()["last_error"] is None


def test_conditions_guard_against_what_others_did(live: Live, directory: Path):
    first = upload(live, directory).headers["etag"]
    other = live.write("other", samples.classifier(live.spec, ("a", "b", "c"), seed=2))
    conflict = upload(live, other, **{"if-none-match": "*"})
    check(conflict, 409, "conflict", conflict.json()["error"]["param"])
    assert conflict.headers["x-should-retry"] == "false"
    second = upload(live, other, **{"if-match": first})
    assert second.status_code == 201
    stale = upload(live, directory, **{"if-match": first})
    check(stale, 412, "precondition_failed", stale.json()["error"]["param"])
    shown = live.http.get(URL)
    assert shown.headers["etag"] == second.headers["etag"] != first
    known = live.http.get(URL, headers={"if-none-match": shown.headers["etag"]})
    assert (known.status_code, known.content) == (304, b"")


def test_a_removed_task_is_gone(live: Live, directory: Path):
    upload(live, directory)
    assert live.http.delete(URL).status_code == 204
    check(live.http.get(URL), 404, "task_not_found", "task")
    check(live.http.delete(URL), 404, "task_not_found", "task")
    check(live.post("/v1/infer", task="fresh", input="x"), 404, "task_not_found", "task")


def test_a_stream_ends_on_the_delta_that_it_began_with(live: Live):
    first = live.add("swap", samples.generator("lora", live.spec, seed=3))
    parameters = {"max_tokens": 60, "ignore_eos": True}
    wanted = live.infer("swap", "hello", **parameters)
    body = {"task": "swap", "input": "hello", "parameters": parameters, "stream": True}
    with ExitStack() as slow:
        slow.enter_context(slowed(live.engine))
        with live.http.stream("POST", "/v1/infer", json=body) as response:
            lines = (line for line in response.iter_lines() if line)
            found = [next(lines)]
            second = live.add("swap", samples.generator("bottleneck", live.spec, seed=3))
            assert live.infer("swap", "hello", max_tokens=1)["version"] == second
            slow.close()
            found += lines
    *pieces, _ = [json.loads(line.removeprefix("data: ")) for line in found[:-1]]
    assert {piece["version"] for piece in pieces} == {first}
    assert "".join(piece["text"] for piece in pieces) == wanted["outputs"][0]["text"]
    assert live.http.delete("/v1/tasks/swap").status_code == 204


def test_all_inputs_of_a_request_are_answered_by_one_version(live: Live, directory: Path):
    other = live.write("other", samples.classifier(live.spec, ("no", "yes"), seed=6))
    sources = [path.as_uri() for path in (directory, other)]
    live.http.put(URL, json={"source": sources[0]})
    ended = threading.Event()

    def swap() -> None:
        for source in itertools.cycle(reversed(sources)):
            httpx2.put(live.url + URL, json={"source": source}, timeout=PATIENCE)
            if ended.is_set():
                break

    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        for _ in range(3):
            answer = live.infer("fresh", ["a prize"] * 16)
            scores = {round(output["scores"]["yes"], 3) for output in answer["outputs"]}
            assert len(scores) == 1
    finally:
        ended.set()
        swapping.join()


def test_of_many_writers_at_once_one_wins(live: Live, directory: Path):
    statuses: list[int] = []

    def put() -> None:
        response = httpx2.put(live.url + URL, json={"source": str(directory)}, timeout=PATIENCE)
        statuses.append(response.status_code)

    threads = [threading.Thread(target=put) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] * 5 + [201]


def test_a_put_answers_for_itself_whatever_others_do_next(
    live: Live, directory: Path, monkeypatch: pytest.MonkeyPatch
):
    other = live.write("other", samples.classifier(live.spec, ("a", "b"), seed=5))
    registry = live.engine.registry
    put = registry.put_staged

    def overtaken(name: TaskName, staging: Staging, **conditions: Any) -> tuple[Registration, bool]:
        answer = put(name, staging, **conditions)
        monkeypatch.undo()
        registry.remove(name)
        registry.put(name, other)
        return answer

    monkeypatch.setattr(registry, "put_staged", overtaken)
    response = live.http.put(URL, json={"source": str(directory)})
    assert response.status_code == 201
    task = response.json()
    assert task["labels"] == ["no", "yes"]
    assert response.headers["etag"] == f'"{task["version"]}"'
    assert live.http.get(URL).json()["version"] != task["version"]


def broken(directory: Path, name: str, data: bytes) -> None:
    for path in directory.iterdir():
        path.unlink()
    (directory / name).write_bytes(data)


def test_bad_checkpoints_leave_the_task_as_it_was(live: Live, directory: Path, tmp_path: Path):
    upload(live, directory)
    before = live.http.get(URL).json()
    weights = next(path for path in directory.iterdir() if path.suffix == ".safetensors")
    whole = weights.read_bytes()

    weights.write_bytes(whole[:-8])
    check(upload(live, directory), 400, "invalid_delta")
    config = directory / "delta.json"
    told = json.loads(config.read_bytes())
    weights.write_bytes(whole)
    told["base"]["fingerprint"] = "0" * 16
    config.write_text(json.dumps(told))
    check(upload(live, directory), 400, "wrong_base")
    broken(directory, "adapter_model.bin", b"\x80\x04N.")
    check(upload(live, directory), 415, "unsupported_media_type")

    assert live.http.get(URL).json() == before
    assert live.infer("fresh", "hello")["version"] == before["version"]


def test_texts_that_cannot_be_written_down_harm_nobody(live: Live):
    directory = live.write("odd", samples.classifier(live.spec, ("no", "yes")))
    (directory / os.fsdecode(b"\xff.bin")).touch()
    config = directory / "delta.json"
    told = config.read_text()
    config.write_text(told.replace('"yes"', r'"\ud800"'))
    check(live.http.put(URL, json={"source": str(directory)}), 400, "invalid_delta")
    config.unlink()
    message = check(
        live.http.put(URL, json={"source": str(directory)}), 415, "unsupported_media_type"
    )
    assert message.startswith(r"\udcff.bin")
    assert live.http.get("/v1/tasks").status_code == 200


@pytest.mark.parametrize("filename", ["..", "a\0b", "", "ﬁle", "x" * 200])
def test_uploads_with_odd_names_are_refused(live: Live, filename: str):
    disposition = f'content-disposition: form-data; name="f"; filename="{filename}"'
    form = f"--b\r\n{disposition}\r\n\r\nx\r\n--b--\r\n"
    headers = {"content-type": "multipart/form-data; boundary=b"}
    response = live.http.put(URL, content=form.encode(), headers=headers)
    check(response, 400, "invalid_request")


def test_an_upload_that_finds_no_room_is_no_fault_of_the_request(live: Live, directory: Path):
    with full_disk():
        check(upload(live, directory), 507, "insufficient_storage")
    assert upload(live, directory).status_code == 201


@pytest.mark.parametrize(
    "source",
    [
        "hf://someone/something",
        "file://elsewhere/x",
        "http://[",
        "file://[",
        "/nowhere",
        "~nobody/x",
        "\0",
    ],
)
def test_sources_that_are_no_directory_here_are_refused(live: Live, source: str):
    check(live.http.put(URL, json={"source": source}), 400, "invalid_request", "source")


def test_requests_name_only_directories_that_the_operator_allows(
    decoder: Path, directory: Path, tmp_path: Path
):
    with serving(decoder, tmp_path, source_roots=[]) as confined:
        answers: set[str] = set()
        for source in (directory.as_uri(), "/etc", "/absent", "~root", "~nobody-of-this-name"):
            refused = confined.http.put(URL, json={"source": source})
            answers.add(check(refused, 400, "invalid_request", "source"))
            body = {"lora_name": "fresh", "lora_path": source}
            refused = confined.post("/v1/load_lora_adapter", **body)
            answers.add(check(refused, 400, "invalid_request", "lora_path"))
        assert len(answers) == 1
        assert upload(confined, directory).status_code == 201


def test_names_have_a_form(live: Live, directory: Path):
    for name in ("-x", "a b", "a,b", "a%0d%0ab", "x" * 129):
        response = live.http.put(f"/v1/tasks/{name}", json={"source": str(directory)})
        check(response, 400, "invalid_request", "name")
        response = live.http.put(f"/v1/tasks/{name}", files={"f": ("delta.json", b"{}")})
        check(response, 400, "invalid_request", "name")
    base = live.http.put("/v1/tasks/base", json={"source": str(directory)})
    check(base, 400, "invalid_request", "task")


def test_the_way_of_vllm(live: Live, directory: Path):
    body = {"lora_name": "fresh", "lora_path": str(directory)}
    loaded = live.post("/v1/load_lora_adapter", **body)
    assert (loaded.status_code, loaded.text) == (
        200,
        "Success: LoRA adapter 'fresh' added successfully.",
    )
    other = str(live.write("other", samples.classifier(live.spec, ("a", "b"), seed=4)))
    assert live.post("/v1/load_lora_adapter", **body | {"lora_path": other}).status_code == 409
    inplace = body | {"lora_path": other, "load_inplace": True}
    assert live.post("/v1/load_lora_adapter", **inplace).status_code == 200
    unloaded = live.post("/v1/unload_lora_adapter", lora_name="fresh")
    assert (unloaded.status_code, unloaded.text) == (
        200,
        "Success: LoRA adapter 'fresh' removed successfully.",
    )
    again = live.post("/v1/unload_lora_adapter", lora_name="fresh")
    check(again, 404, "task_not_found", "lora_name")
