"""Collecting garbage: what no task needs goes, and nothing else, whoever is at work."""

from collections.abc import Callable
from pathlib import Path

import pytest

from deltas.formats import native
from server.errors import RegistryUnavailable
from server.registry.layout import DATABASE
from server.registry.names import shared
from server.registry.registry import Registry
from server.registry.retention import Retention
from server.registry.upkeep.garbage import Freed, collect

Make = Callable[[int], Path]
ORPHAN = "0" * 64


@pytest.fixture
def root(registry: Registry, delta: Make, tmp_path: Path) -> Path:
    """A store with two versions, a blob of none and what a dead server left; its server runs."""
    for number in (1, 2):
        registry.put(shared("a"), delta(number))
    registry.settle()
    root = tmp_path / "store"
    (root / "blobs" / ORPHAN).mkdir()
    (root / "blobs" / ORPHAN / native.WEIGHTS).write_bytes(bytes(100))
    (root / "run-dead" / "scratch").mkdir(parents=True)
    (root / "run-dead" / "scratch" / "spilled").write_bytes(bytes(11))
    return root


def blobs(root: Path) -> set[str]:
    return {path.name for path in (root / "blobs").iterdir()}


def test_what_no_task_needs_goes_beside_a_server(root: Path, registry: Registry) -> None:
    before, expected = blobs(root), Freed(0, 1, 1, 111)
    assert collect(root, pretend=True) == expected
    assert blobs(root) == before
    assert (root / "run-dead").exists()
    assert collect(root) == expected
    assert blobs(root) == before - {ORPHAN}
    assert [path.name for path in root.glob("run-*")] == [registry.scratch.parent.name]
    assert collect(root) == Freed(0, 0, 0, 0)


def test_versions_go_by_rules_that_are_given_and_servers_take_that_over(
    root: Path, registry: Registry
) -> None:
    rules = Retention(versions=1)
    expected = collect(root, rules, pretend=True)
    assert (expected.tasks, expected.blobs) == (1, 2)
    assert collect(root, rules) == expected
    registry.look()
    (left,) = registry.get(shared("a")).versions
    assert blobs(root) == {left.ref.digest}
    assert registry.load(left.ref)


def test_nothing_goes_that_a_damaged_database_may_name(root: Path) -> None:
    before = blobs(root)
    (root / "damaged-1.sqlite3").write_bytes((root / DATABASE).read_bytes())
    with pytest.raises(RegistryUnavailable, match="store check"):
        collect(root)
    assert blobs(root) == before
