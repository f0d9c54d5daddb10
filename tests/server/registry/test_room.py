"""What is given up: by the rules once it has had its time, and sooner where the store is full."""

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from deltas import formats
from deltas.base import BaseSpec, describe
from deltas.folder import Folder
from server.errors import InsufficientStorage, ShuttingDown, TaskNotFound
from server.registry.names import shared
from server.registry.registry import Registry
from server.registry.retention import Retention
from server.registry.store import Store
from tests.models import tiny_model
from tests.server.registry.prompts import write_prompt

Make = Callable[[int], Path]
HOUR = 3600.0


@pytest.fixture(scope="module")
def other_base() -> BaseSpec:
    return describe(tiny_model("qwen2"), "other")


def size_of(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.iterdir())


def in_store(root: Path) -> set[str]:
    return {path.name for path in (root / "blobs").iterdir()}


def put(registry: Registry, name: str, directory: Path, lifetime: float | None = None) -> str:
    """Put a delta and return its digest."""
    with registry.stage() as staging:
        folder = Folder(directory)
        staging.copy(folder, formats.files_of(folder))
        task, _ = registry.put_staged(shared(name), staging, lifetime=lifetime)
    return task.active.ref.digest


def test_a_full_store_gives_up_what_was_removed_first(
    base: BaseSpec, other_base: BaseSpec, delta: Make, tmp_path: Path
) -> None:
    root, foreign = tmp_path / "store", write_prompt(tmp_path / "foreign", other_base, 1)
    quota = sum(size_of(each) for each in (delta(1), delta(2), delta(3), foreign))
    other = Registry(Store(root, quota), other_base)
    registry = Registry(Store(root, quota), base)
    digests = [put(registry, f"task-{number}", delta(number)) for number in (1, 2, 3)]
    elsewhere = put(other, "task", foreign)
    other.remove(shared("task"))
    for number in (2, 1):
        registry.remove(shared(f"task-{number}"))
    for number in (4, 5):
        put(registry, f"task-{number}", delta(number))
    assert elsewhere not in in_store(root)
    assert digests[1] not in in_store(root)
    assert registry.versions.activate(shared("task-1"), "1").active.ref.digest == digests[0]
    with pytest.raises(TaskNotFound):
        registry.versions.activate(shared("task-2"), "1")
    with pytest.raises(InsufficientStorage):
        put(registry, "task-6", delta(6))
    with pytest.raises(TaskNotFound):
        other.versions.activate(shared("task"), "1")
    assert digests[2] in in_store(root)
    for each in (registry, other):
        each.close()


def test_what_another_server_gave_back_can_be_taken(
    base: BaseSpec, delta: Make, tmp_path: Path
) -> None:
    root, quota = tmp_path / "store", size_of(delta(1)) + size_of(delta(2))
    first, second = (Registry(Store(root, quota), base) for _ in range(2))
    put(first, "a", delta(1))
    put(first, "b", delta(2))
    second.look()
    with pytest.raises(InsufficientStorage):
        put(second, "c", delta(3))
    first.remove(shared("a"), forever=True)
    first.settle()
    put(second, "c", delta(3))
    for each in (first, second):
        each.close()


def test_nothing_is_given_up_once_a_registry_is_closed(
    base: BaseSpec, delta: Make, tmp_path: Path
) -> None:
    root = tmp_path / "store"
    registry = Registry(Store(root, size_of(delta(1)) + 10), base)
    digest = put(registry, "a", delta(1))
    registry.remove(shared("a"))
    with registry.stage() as staging, staging.begin("weights") as file:
        registry.close()
        with pytest.raises(ShuttingDown):
            staging.write(file, bytes(100))
    registry.settle()
    assert in_store(root) == {digest}


def test_rules_hold_for_bases_that_no_server_is_left_for(
    base: BaseSpec,
    other_base: BaseSpec,
    delta: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = tmp_path / "store"
    with closing(Registry(Store(root), other_base)) as other:
        lifetimes = {"removed": None, "timed": 9 * HOUR, "stays": None}
        for number, (name, lifetime) in enumerate(lifetimes.items()):
            put(other, name, write_prompt(tmp_path / name, other_base, number), lifetime)
        other.remove(shared("removed"))
    registry = Registry(Store(root), base)
    put(registry, "mine", delta(1))
    now = time.time()
    for hours, left in ((10, 4), (25, 3), (40, 2)):
        monkeypatch.setattr(time, "time", lambda then=now + hours * HOUR: then)
        registry.look()
        registry.settle()
        assert len(in_store(root)) == left
    registry.close()
    with closing(Registry(Store(root), other_base)) as other:
        assert [task.name for task in other.all()] == ["stays"]


def test_versions_are_kept_for_so_many_hours(
    base: BaseSpec, delta: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    retention = Retention(versions=1, hours=2)
    registry = Registry(Store(tmp_path / "store"), base, retention=retention)
    now = time.time()
    for number, hour in ((1, 0.0), (2, 1.0), (3, 1.5)):
        monkeypatch.setattr(time, "time", lambda then=now + hour * HOUR: then)
        registry.put(shared("spam"), delta(number))
    registry.versions.alias(shared("spam"), "first", "1")
    for hour, left in ((2.9, [1, 2, 3]), (3.1, [1, 3]), (99.0, [1, 3])):
        monkeypatch.setattr(time, "time", lambda then=now + hour * HOUR: then)
        registry.look()
        assert [each.number for each in registry.versions.of(shared("spam")).versions] == left
    registry.close()


def test_no_change_reads_what_it_does_not_concern(
    base: BaseSpec, delta: Make, tmp_path: Path
) -> None:
    registry = Registry(Store(tmp_path / "store"), base, retention=Retention(versions=1))
    said: list[str] = []

    def say(_: object, __: object, statement: str, *rest: object) -> None:
        said.append(" ".join(statement.split()))

    event.listen(Engine, "before_cursor_execute", say)
    try:
        for number in (1, 2):
            registry.put(shared("spam"), delta(number))
        registry.remove(shared("spam"), forever=True)
        registry.look()
        registry.settle()
    finally:
        event.remove(Engine, "before_cursor_execute", say)
    registry.close()
    asked = [each for each in said if each.startswith("SELECT") and "FROM versions" in each]
    assert asked
    for each in asked:
        assert "versions.task = " in each or "versions.digest IN" in each
