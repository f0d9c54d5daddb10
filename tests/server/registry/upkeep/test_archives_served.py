"""Archives between real servers: what comes from one store answers as it did there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from deltas.base import BaseSpec
from deltas.formats import native
from server.build import open_base
from server.registry.upkeep.exporting import export
from server.registry.upkeep.importing import import_archive
from server.settings import Settings
from tests import samples
from tests.server.api.live import wait_until
from tests.server.served import served


@pytest.fixture(scope="module")
def spec(decoder: Path) -> BaseSpec:
    return open_base(Settings(base=str(decoder), device="cpu", dtype="float32")).spec


@pytest.fixture
def running(decoder: Path, tmp_path: Path) -> Iterator[tuple[httpx2.Client, httpx2.Client]]:
    """Two servers with a store each."""
    settings: dict[str, Any] = {"source_roots": [tmp_path], "drain_timeout": 0}
    with (
        served(decoder, tmp_path / "first", **settings) as (_, first),
        served(decoder, tmp_path / "second", **settings) as (_, second),
    ):
        yield first, second


def put(http: httpx2.Client, name: str, directory: Path) -> None:
    response = http.put(f"/v1/tasks/{name}", json={"source": directory.as_uri()})
    assert response.status_code in (200, 201), response.text


def answers(http: httpx2.Client) -> list[Any]:
    found: list[Any] = []
    for task in ("tell", "tell@1", "tell@first", "spam"):
        given = {"max_tokens": 6, "temperature": 0} if task != "spam" else {}
        body = {"task": task, "input": "hello there", "parameters": given}
        response = http.post("/v1/infer", json=body)
        assert response.status_code == 200, response.text
        found.append((response.json()["version"], response.json()["outputs"]))
    return found


def begin(_: int) -> Any:
    return lambda: None


def test_another_server_takes_over_and_answers_the_same(
    running: tuple[httpx2.Client, httpx2.Client], spec: BaseSpec, tmp_path: Path
) -> None:
    first, second = running
    for seed, kind in ((1, "lora"), (2, "prompt")):
        native.write(samples.generator(kind, spec, seed), tmp_path / kind, spec)
        put(first, "tell", tmp_path / kind)
    native.write(samples.classifier(spec, ("ham", "spam")), tmp_path / "spam", spec)
    put(first, "spam", tmp_path / "spam")
    assert first.put("/v1/tasks/tell/aliases/first", json={"version": 1}).status_code == 200
    export(tmp_path / "first", tmp_path / "all.tar", (), begin)
    imported = import_archive(tmp_path / "second", tmp_path / "all.tar", begin, quota=1 << 30)
    assert {each.result for each in imported.tasks} == {"imported"}
    wait_until(lambda: len(second.get("/v1/tasks").json()["tasks"]) == 2)
    versions = [http.get("/v1/tasks/tell/versions").json() for http in running]
    assert versions[0] == versions[1]
    here = answers(first)
    assert here[0] != here[1] == here[2]
    assert answers(second) == here
