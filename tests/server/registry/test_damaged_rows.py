"""Rows of the database that are not as they were written: told, and mended by the next put."""

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

import pytest

from deltas.base import BaseSpec
from server.errors import InvalidRequest, RegistryUnavailable, TaskNotFound
from server.registry.condition import ANY
from server.registry.names import shared
from server.registry.registry import DATABASE, Registry
from server.registry.retention import Retention
from server.registry.store import Store
from tests.server.registry.prompts import number_of

Make = Callable[[int], Path]

TASK = "UPDATE tasks SET changed = changed + 1 WHERE name = 'spam'"
LOST_TASK = "DELETE FROM tasks WHERE name = 'spam'"
ALIASES = "UPDATE tasks SET aliases = '{' WHERE name = 'spam'"
ACTIVE = "UPDATE versions SET about = replace(about, 'upload', 'elsewhere') WHERE number = 2"
LOST_ACTIVE = "DELETE FROM versions WHERE number = 2"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


def opened(root: Path, base: BaseSpec) -> Registry:
    return Registry(Store(root), base, retention=Retention(versions=3))


def damage(root: Path, statement: str) -> None:
    with closing(sqlite3.connect(root / DATABASE)) as database, database:
        assert database.execute(statement).rowcount


def put_two(root: Path, base: BaseSpec, delta: Make) -> None:
    """Put two versions of `spam` and one of `sound`."""
    registry = opened(root, base)
    for number in (1, 2):
        registry.put(shared("spam"), delta(number), source="upload")
    registry.put(shared("sound"), delta(3))
    registry.close()


def held(registry: Registry, name: str) -> dict[int, int]:
    """Which delta each version of a task is."""
    versions = registry.versions.of(shared(name)).versions
    return {each.number: number_of(registry.load(each.ref)) for each in versions}


def in_store(root: Path) -> set[str]:
    return {path.name for path in (root / "blobs").iterdir()}


def digests(registry: Registry, names: Iterable[str]) -> set[str]:
    return {
        each.ref.digest for name in names for each in registry.versions.of(shared(name)).versions
    }


@pytest.mark.parametrize("statement", [TASK, LOST_TASK, ALIASES, ACTIVE, LOST_ACTIVE])
def test_a_damaged_task_is_told_and_others_answer(
    statement: str, base: BaseSpec, delta: Make, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put_two(root, base, delta)
    damage(root, statement)
    registry = opened(root, base)
    assert "task 'spam' is damaged" in caplog.text
    assert [task.name for task in registry.all()] == ["sound"]
    for refused in (
        lambda: registry.versions.of(shared("spam")),
        lambda: registry.remove(shared("spam")),
        lambda: registry.versions.alias(shared("spam"), "champion", "1"),
        lambda: registry.put(shared("spam"), delta(4), if_none_match=True),
        lambda: registry.put(shared("spam"), delta(4), if_match=frozenset({ANY})),
    ):
        with pytest.raises(RegistryUnavailable, match="--forever"):
            refused()
    registry.close()


@pytest.mark.parametrize(
    ("statement", "left"),
    [
        (TASK, {1: 1, 2: 2}),
        (LOST_TASK, {1: 1, 2: 2}),
        (ALIASES, {1: 1, 2: 2}),
        (ACTIVE, {1: 1}),
        (LOST_ACTIVE, {1: 1}),
    ],
)
@pytest.mark.parametrize("number", [2, 4])
def test_a_put_goes_on_from_what_is_sound(
    statement: str, left: dict[int, int], number: int, base: BaseSpec, delta: Make, root: Path
) -> None:
    put_two(root, base, delta)
    damage(root, statement)
    registry = opened(root, base)
    shown, _ = registry.put(shared("spam"), delta(number))
    assert number_of(registry.load(shown.active.ref)) == number
    # A number that was given once is not given to another delta.
    expected = left if number in left.values() else left | {3: number}
    if statement == LOST_ACTIVE:
        # Of that one nothing is there any more, unless the task's own row knows of it.
        assert shown.active.number == 3
    assert held(registry, "spam") == expected
    registry.settle()
    assert in_store(root) == digests(registry, ["spam", "sound"])
    registry.close()
    registry = opened(root, base)
    assert held(registry, "spam") == expected
    registry.close()


@pytest.mark.parametrize("statement", [TASK, LOST_TASK, ACTIVE])
def test_a_sound_version_of_a_damaged_task_is_activated(
    statement: str, base: BaseSpec, delta: Make, root: Path
) -> None:
    put_two(root, base, delta)
    damage(root, statement)
    registry = opened(root, base)
    assert registry.versions.activate(shared("spam"), "1").active.number == 1
    assert registry.lease(shared("spam")).version.number == 1
    registry.close()


@pytest.mark.parametrize("statement", [TASK, LOST_TASK, ACTIVE, LOST_ACTIVE])
def test_a_damaged_task_is_removed_for_good(
    statement: str, base: BaseSpec, delta: Make, root: Path
) -> None:
    put_two(root, base, delta)
    damage(root, statement)
    registry = opened(root, base)
    registry.remove(shared("spam"), forever=True)
    with pytest.raises(TaskNotFound):
        registry.versions.of(shared("spam"))
    registry.settle()
    if statement != LOST_ACTIVE:
        assert in_store(root) == digests(registry, ["sound"])
    assert registry.put(shared("spam"), delta(2))[0].active.number == 1
    registry.close()


def test_a_task_without_a_sound_row_is_removed_for_good(
    base: BaseSpec, delta: Make, root: Path
) -> None:
    put_two(root, base, delta)
    damage(root, TASK)
    damage(root, "UPDATE versions SET seal = '' WHERE task = 'spam'")
    registry = opened(root, base)
    with pytest.raises(RegistryUnavailable):
        registry.versions.activate(shared("spam"), "1")
    registry.remove(shared("spam"), forever=True)
    with pytest.raises(TaskNotFound):
        registry.versions.activate(shared("spam"), "1")
    registry.close()


def test_a_damaged_version_that_does_not_answer_costs_itself_alone(
    base: BaseSpec, delta: Make, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put_two(root, base, delta)
    damage(root, "UPDATE versions SET seal = 'x' WHERE task = 'spam' AND number = 1")
    registry = opened(root, base)
    assert "Version 1 of task 'spam' is damaged" in caplog.text
    assert held(registry, "spam") == {2: 2}
    # Its row has this very digest.
    registry.put(shared("spam"), delta(1))
    assert held(registry, "spam") == {2: 2, 3: 1}
    registry.close()


def test_a_damaged_removed_task_is_not_given_up_by_the_rules(
    base: BaseSpec, delta: Make, root: Path
) -> None:
    put_two(root, base, delta)
    damage(root, "UPDATE tasks SET active = NULL, changed = 0 WHERE name = 'spam'")
    registry = opened(root, base)
    registry.look()
    registry.put(shared("spam"), delta(4))
    assert held(registry, "spam") == {1: 1, 2: 2, 3: 4}
    registry.close()


def test_what_is_damaged_under_a_server_keeps_answering_there(
    base: BaseSpec, delta: Make, root: Path
) -> None:
    registry, other = opened(root, base), opened(root, base)
    registry.put(shared("spam"), delta(1))
    other.look()
    damage(root, TASK)
    other.put(shared("sound"), delta(3))
    with pytest.raises(RegistryUnavailable):
        registry.look()
    assert {task.name for task in registry.all()} == {"spam", "sound"}
    other.put(shared("spam"), delta(2))
    registry.look()
    assert number_of(registry.load(registry.lease(shared("spam")).version.ref)) == 2
    for each in (registry, other):
        each.close()


def test_damaged_traffic_is_told_and_left_out(
    base: BaseSpec, delta: Make, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put_two(root, base, delta)
    registry = opened(root, base)
    registry.sharing.share(shared("spam"), {"1": 1, "2": 1})
    registry.close()
    damage(root, "UPDATE traffic SET seal = ''")
    registry = opened(root, base)
    assert "task 'spam' share its traffic is damaged" in caplog.text
    assert registry.lease(shared("spam")).version.number == 2
    registry.remove(shared("spam"), forever=True)
    registry.put(shared("spam"), delta(1))
    assert registry.versions.of(shared("spam")).traffic is None
    registry.close()


def test_aliases_are_bounded(registry: Registry, delta: Make) -> None:
    registry.put(shared("spam"), delta(1))
    for number in range(64):
        registry.versions.alias(shared("spam"), f"a-{number}", "1")
    registry.versions.alias(shared("spam"), "a-0", "1")
    with pytest.raises(InvalidRequest, match="64 aliases"):
        registry.versions.alias(shared("spam"), "one-more", "1")
    registry.versions.alias(shared("spam"), "a-0", None)
    registry.versions.alias(shared("spam"), "one-more", "1")
