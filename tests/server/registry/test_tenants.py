"""Tasks are of tenants: each sees its own and the shared ones, and no trace of any other."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import column as of
from sqlalchemy import create_engine, insert, table, text

from deltas.base import BaseSpec
from server.errors import TaskNotFound
from server.registry.catalogue import migrate
from server.registry.catalogue.catalogue import Catalogue
from server.registry.catalogue.sqlite import Sqlite
from server.registry.catalogue.tables import sealed
from server.registry.names import TaskName, shared
from server.registry.registry import Registry
from server.registry.store import Store

_QUERIES = {name: f"SELECT * FROM {name}" for name in ("tasks", "versions")}
OURS, THEIRS = TaskName("ours", "spam"), TaskName("theirs", "spam")


@pytest.mark.parametrize("name", [shared("spam"), OURS, TaskName("o.u-r_s", "spam.v2")])
def test_a_key_is_of_one_name(name: TaskName) -> None:
    assert TaskName.of(str(name)) == name


def test_a_tenant_sees_its_own_before_the_shared(
    registry: Registry, delta: Callable[[int], Path]
) -> None:
    common = registry.put(shared("spam"), delta(0))[0].active
    assert registry.version(OURS) == common
    own = registry.put(OURS, delta(1))[0].active
    assert registry.version(OURS) == own
    assert registry.lease(TaskName("ours", f"spam@{own.ref.version}")).version == own
    assert registry.version(THEIRS) == registry.version(shared("spam")) == common
    with pytest.raises(TaskNotFound):
        registry.version(TaskName("theirs", f"spam@{own.ref.digest}"))
    registry.remove(OURS)
    assert registry.version(OURS) == common


def test_nobody_else_learns_of_a_private_task(
    registry: Registry, delta: Callable[[int], Path]
) -> None:
    registry.put(OURS, delta(1))
    registry.put(TaskName("theirs", "topic"), delta(1))
    assert [task.name for task in registry.all("ours")] == ["spam"]
    assert registry.able(lambda _: True, 9, "theirs") == ["base", "topic"]
    assert registry.all() == []
    for asked in (THEIRS, TaskName("theirs", "spa"), shared("spam@1")):
        with pytest.raises(TaskNotFound) as refusal:
            registry.lease(asked)
        assert "mean" not in str(refusal.value)
    with suppress(TaskNotFound):
        registry.remove(THEIRS, forever=True)
    assert registry.version(OURS).ref.task == str(OURS)


def test_a_tenants_tasks_last(
    registry: Registry, base: BaseSpec, delta: Callable[[int], Path], tmp_path: Path
) -> None:
    registry.put(OURS, delta(1))
    registry.put(OURS, delta(2))
    registry.put(shared("spam"), delta(1))
    follower = Registry(Store(tmp_path / "store"), base)
    assert [each.number for each in follower.versions.of(OURS).versions] == [1, 2]
    assert follower.all("ours") == registry.all("ours")
    assert follower.all() == registry.all()
    registry.remove(OURS, forever=True)
    follower.look()
    assert follower.all("ours") == follower.all()


def test_a_store_from_before_there_were_tenants(
    base: BaseSpec, delta: Callable[[int], Path], tmp_path: Path
) -> None:
    written = _written(base, delta, tmp_path)
    database = tmp_path / "old.sqlite3"
    engine = create_engine(f"sqlite:///{database}")
    with engine.begin() as connection:
        command.upgrade(migrate.configuration(connection), "0001")
        for name, rows in written.items():
            old = [{k: v for k, v in row.items() if k not in ("tenant", "seal")} for row in rows]
            columns = table(name, *map(of, (*old[0], "seal")))
            connection.execute(insert(columns), [sealed(row) for row in old])
        connection.execute(text("UPDATE tasks SET latest = 99 WHERE name = 'damaged'"))
    engine.dispose()
    catalogue = Catalogue(Sqlite(database), base.fingerprint)
    damaged, task = catalogue.tasks()
    assert damaged.damaged
    assert task == _catalogue(base, tmp_path).task(shared("spam"))
    assert [each.number for each in task.versions] == [1, 2]


def _catalogue(base: BaseSpec, folder: Path) -> Catalogue:
    return Catalogue(Sqlite(folder / "store" / "registry.sqlite3"), base.fingerprint)


def _written(
    base: BaseSpec, delta: Callable[[int], Path], folder: Path
) -> dict[str, list[dict[str, object]]]:
    """What this release writes of two tasks, by table."""
    registry = Registry(Store(folder / "store"), base)
    registry.put(shared("spam"), delta(1))
    registry.put(shared("spam"), delta(2))
    registry.put(shared("damaged"), delta(1))
    registry.close()
    engine = create_engine(f"sqlite:///{folder / 'store' / 'registry.sqlite3'}")
    with engine.connect() as connection:
        return {
            name: [
                dict(row) for row in connection.execute(text(f"SELECT * FROM {name}")).mappings()
            ]
            for name in ("tasks", "versions")
        }
