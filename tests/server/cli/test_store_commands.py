"""The commands on a store, beside a server that has it open."""

import json
from pathlib import Path

import pytest

from deltas.base import BaseSpec
from server.registry.names import shared
from server.registry.registry import Registry
from server.registry.store import Store
from tests.server.cli.conftest import Polydelta
from tests.server.registry.prompts import write_prompt


@pytest.fixture
def root(spec: BaseSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "store"
    registry = Registry(Store(root), spec)
    for number in (1, 2):
        registry.put(shared("spam"), write_prompt(tmp_path / f"delta-{number}", spec, number))
    monkeypatch.setenv("POLYDELTA_STORE", str(root))
    return root


def test_a_sound_store_is_checked(polydelta: Polydelta, root: Path) -> None:
    result = polydelta("store", "check")
    assert (result.code, result.out) == (0, "")
    assert "1 tasks, 2 versions, 2 blobs" in result.err


def test_what_is_found_is_shown_and_told_by_the_code(polydelta: Polydelta, root: Path) -> None:
    (root / "run-dead").mkdir()
    shown = polydelta("store", "check")
    assert shown.code == 1
    assert "run-dead" in shown.out
    found = json.loads(polydelta("store", "check", "-o", "json").out)["findings"]
    assert [(each["about"], each["where"]) for each in found] == [("leftover", "run-dead")]


def test_a_store_that_is_not_there_is_told(polydelta: Polydelta, tmp_path: Path) -> None:
    result = polydelta("store", "check", "--store", str(tmp_path / "none"))
    assert result.code == 1
    assert "--store" in result.err


def test_what_no_task_needs_is_removed(polydelta: Polydelta, root: Path) -> None:
    (root / "blobs" / ("0" * 64)).mkdir()
    assert "1 blobs" in polydelta("store", "gc", "--dry-run").err
    assert "2 blobs" in polydelta("store", "gc", "--keep-versions", "1").err
    assert len(list((root / "blobs").iterdir())) == 1


def test_tasks_are_exported_and_imported(polydelta: Polydelta, root: Path, tmp_path: Path) -> None:
    archive, new = str(tmp_path / "spam.tar"), ("--store", str(tmp_path / "new"))
    written = polydelta("store", "export", archive, "--task", "spam")
    assert written.code == 0
    assert "1 tasks, 2 versions, 2 blobs" in written.err
    assert "imported" in polydelta("store", "import", archive, *new).out
    assert polydelta("store", "check", *new).code == 0
    again = json.loads(polydelta("store", "import", archive, *new, "-o", "json").out)
    assert [(each["task"], each["result"]) for each in again["tasks"]] == [("spam", "unchanged")]


def test_what_is_not_imported_is_told_by_the_code(
    polydelta: Polydelta, root: Path, tmp_path: Path
) -> None:
    archive, new = tmp_path / "spam.tar", ("--store", str(tmp_path / "new"))
    assert polydelta("store", "export", str(archive), "--task", "ham").code == 1
    polydelta("store", "export", str(archive))
    archive.write_bytes(archive.read_bytes()[:-1600])
    result = polydelta("store", "import", str(archive), *new)
    assert result.code == 1
    assert "refused" in result.out
    assert "cut off" in result.err


def test_keys_and_limits_are_taken_unless_tasks_alone_are_wanted(
    polydelta: Polydelta, root: Path, tmp_path: Path
) -> None:
    archive, new = str(tmp_path / "all.tar"), ("--store", str(tmp_path / "new"))
    assert polydelta("key", "add", "deploy").code == 0
    assert polydelta("tenant", "set", "acme", "--tasks", "3").code == 0
    assert "1 keys, limits of 1 tenants" in polydelta("store", "export", archive).err
    assert polydelta("store", "import", archive, *new, "--tasks-only").code == 0
    assert json.loads(polydelta("key", "ls", *new, "-o", "json").out) == []
    told = json.loads(polydelta("store", "import", archive, *new, "-o", "json").out)["access"]
    assert [(each["about"], each["name"]) for each in told] == [
        ("key", "deploy"),
        ("tenant", "acme"),
    ]
    assert "unchanged" in polydelta("store", "import", archive, *new).out
    assert [
        each["name"] for each in json.loads(polydelta("key", "ls", *new, "-o", "json").out)
    ] == ["deploy"]
    polydelta("tenant", "set", "acme", "--tasks", "4", *new)
    refused = polydelta("store", "import", archive, *new)
    assert (refused.code, "--replace" in refused.out) == (1, True)
