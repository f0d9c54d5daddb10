"""The database's file is replaced under servers: they serve what the new one says."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from deltas.base import BaseSpec
from server.errors import InsufficientStorage
from server.registry.layout import DATABASE
from server.registry.names import shared
from server.registry.registry import Registry
from server.registry.store import Store
from tests.server.registry.prompts import number_of

Make = Callable[[int], Path]


def copied(source: Path, target: Path) -> None:
    """Copy a database as a back-up does, or restore one into a file that is in use."""
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)


def answers(registry: Registry) -> dict[str, int]:
    return {each.name: number_of(registry.load(each.active.ref)) for each in registry.all()}


@pytest.mark.parametrize("later", [0, 1, 2, 5])
def test_a_restored_backup_is_followed(
    later: int, base: BaseSpec, delta: Make, tmp_path: Path
) -> None:
    root = tmp_path / "store"
    registry, other = (Registry(Store(root), base) for _ in range(2))
    for number in (1, 2):
        registry.put(shared("spam"), delta(number))
    copied(root / DATABASE, tmp_path / "back-up")
    registry.versions.activate(shared("spam"), "1")
    registry.put(shared("new"), delta(3))
    for each in (registry, other):
        each.look()
    copied(tmp_path / "back-up", root / DATABASE)
    # However many changes came since, and whatever their numbers.
    for number in range(later):
        other.put(shared(f"later-{number}"), delta(4 + number))
    for each in (registry, other):
        each.look()
        assert answers(each) == {"spam": 2} | {f"later-{n}": 4 + n for n in range(later)}
    for each in (registry, other):
        each.close()


def without_database(root: Path, base: BaseSpec, delta: Make) -> tuple[Registry, str]:
    """A registry with a task whose database is removed under it, and the task's blob."""
    registry = Registry(Store(root), base)
    digest = registry.put(shared("spam"), delta(1))[0].active.ref.digest
    registry.look()
    for path in root.glob(f"{DATABASE}*"):
        path.unlink()
    return registry, digest


def test_a_database_that_is_removed_costs_no_blob(
    base: BaseSpec, delta: Make, tmp_path: Path
) -> None:
    root = tmp_path / "store"
    registry, digest = without_database(root, base, delta)
    registry.look()
    assert registry.all() == []
    registry.settle()
    (aside,) = root.glob("blobs-*")
    assert (aside / digest).is_dir()
    registry.put(shared("new"), delta(2))
    registry.close()
    registry = Registry(Store(root), base)
    assert answers(registry) == {"new": 2}
    assert (aside / digest).is_dir()
    registry.close()


def test_blobs_are_set_aside_once_the_disk_has_room_for_it(
    base: BaseSpec, delta: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "store"
    registry, digest = without_database(root, base, delta)

    def full(_: Store) -> Path:
        raise InsufficientStorage("The store cannot be written.")

    with monkeypatch.context() as patched:
        patched.setattr(Store, "set_aside", full)
        for _ in range(2):
            with pytest.raises(InsufficientStorage):
                registry.look()
    registry.look()
    registry.close()
    (aside,) = root.glob("blobs-*")
    assert (aside / digest).is_dir()


def test_blobs_are_set_aside_by_the_next_start_where_one_is_killed_meanwhile(
    base: BaseSpec, delta: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "store"
    registry, digest = without_database(root, base, delta)
    registry.close()

    def killed(_: Store) -> Path:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Store, "set_aside", killed)
        with pytest.raises(KeyboardInterrupt):
            Registry(Store(root), base)
    registry = Registry(Store(root), base)
    registry.settle()
    registry.close()
    (aside,) = root.glob("blobs-*")
    assert (aside / digest).is_dir()
