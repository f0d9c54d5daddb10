"""A database that is in use, full, of another release: told, nothing changed, tasks answer on."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from deltas.base import BaseSpec
from server.errors import InsufficientStorage, InvalidSettings, RegistryUnavailable
from server.registry.catalogue.tables import METADATA
from server.registry.layout import DATABASE
from server.registry.names import shared
from server.registry.registry import Registry
from server.registry.store import Store
from tests.disks import full_disk

Make = Callable[[int], Path]
SPAM = shared("spam")


def test_a_database_that_stays_locked_is_told_and_tasks_answer(
    base: BaseSpec, delta: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.registry.catalogue.sqlite._PATIENCE", 0.1)
    root = tmp_path / "store"
    registry = Registry(Store(root), base)
    for number in (1, 2):
        registry.put(SPAM, delta(number))
    with closing(sqlite3.connect(root / DATABASE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for refused in (
            lambda: registry.put(SPAM, delta(3)),
            lambda: registry.versions.activate(SPAM, "1"),
            lambda: registry.remove(SPAM),
        ):
            with pytest.raises(RegistryUnavailable, match="locked"):
                refused()
        registry.look()
        assert registry.lease(SPAM).version.number == 2
        assert len(registry.versions.of(SPAM).versions) == 2
        other.execute("ROLLBACK")
    assert registry.versions.activate(SPAM, "1").active.number == 1
    registry.settle()
    assert len(list((root / "blobs").iterdir())) == 2
    registry.close()


def test_a_database_without_room_is_told_and_changes_nothing(
    base: BaseSpec, delta: Make, tmp_path: Path
) -> None:
    registry = Registry(Store(tmp_path / "store"), base)
    for number in (1, 2):
        registry.put(SPAM, delta(number))
    with full_disk():
        for refused in (
            lambda: registry.remove(SPAM),
            lambda: registry.versions.activate(SPAM, "1"),
        ):
            with pytest.raises(InsufficientStorage, match="registry cannot be written"):
                refused()
        assert registry.lease(SPAM).version.number == 2
    assert registry.versions.activate(SPAM, "1").active.number == 1
    registry.close()
    registry = Registry(Store(tmp_path / "store"), base)
    assert registry.get(SPAM).active.number == 1
    registry.close()


def test_a_database_of_a_later_release_is_refused_as_it_is(
    base: BaseSpec, delta: Make, tmp_path: Path
) -> None:
    root = tmp_path / "store"
    registry = Registry(Store(root), base)
    registry.put(SPAM, delta(1))
    registry.close()
    with closing(sqlite3.connect(root / DATABASE)) as later, later:
        later.execute("ALTER TABLE tasks ADD COLUMN later TEXT")
        later.execute("UPDATE alembic_version SET version_num = '9999'")
    before = (root / DATABASE).read_bytes()
    with pytest.raises(InvalidSettings, match="later release"):
        Registry(Store(root), base)
    assert (root / DATABASE).read_bytes() == before
    assert len(list((root / "blobs").iterdir())) == 1


def test_migrations_end_at_the_tables_that_are_used(base: BaseSpec, tmp_path: Path) -> None:
    Registry(Store(tmp_path / "store"), base).close()
    engine = create_engine(f"sqlite:///{tmp_path / 'store' / DATABASE}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []
    engine.dispose()
