"""A store is of one registry: another one is refused, and removes nothing."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from deltas.base import BaseSpec
from server.errors import InvalidSettings, RegistryUnavailable
from server.registry.catalogue.opening import open_database
from server.registry.catalogue.tables import METADATA
from server.registry.layout import CLAIM, DATABASE
from server.registry.names import shared
from server.registry.registry import Registry
from server.registry.store import Store
from server.registry.upkeep.garbage import collect
from tests.postgres import Cluster
from tests.server.registry.prompts import number_of

Make = Callable[[int], Path]
SPAM = shared("spam")


@pytest.fixture
def root(base: BaseSpec, delta: Make, tmp_path: Path) -> Path:
    """A store with a task."""
    return stored(tmp_path / "store", base, delta(1))


def stored(root: Path, base: BaseSpec, source: Path, url: str | None = None) -> Path:
    with closing(Registry(Store(root), base, database=open_database(url, root))) as registry:
        registry.put(SPAM, source)
    return root


def serves(registry: Registry) -> int:
    lease = registry.lease(SPAM)
    lease.release()
    return number_of(registry.load(lease.version.ref))


def blobs(root: Path) -> set[str]:
    return {path.name for path in (root / "blobs").iterdir()}


def test_another_store_s_database_moved_over_a_running_one_changes_nothing(
    root: Path, base: BaseSpec, delta: Make, tmp_path: Path
) -> None:
    other = stored(tmp_path / "other", base, delta(2))
    before = blobs(root)
    with closing(Registry(Store(root), base)) as registry:
        registry.look()
        for path in root.glob(f"{DATABASE}*"):
            path.rename(tmp_path / path.name)
        (other / DATABASE).rename(root / DATABASE)
        for refused in (
            registry.look,
            lambda: registry.put(SPAM, delta(3)),
            lambda: registry.remove(SPAM),
        ):
            with pytest.raises(RegistryUnavailable, match="not the one that the store is of"):
                refused()
        registry.settle()
        assert serves(registry) == 1
        assert blobs(root) == before
        for path in root.glob(f"{DATABASE}-*"):
            path.unlink()
        for path in tmp_path.glob(f"{DATABASE}*"):
            path.rename(root / path.name)
        registry.look()
        registry.put(SPAM, delta(3))
        assert serves(registry) == 3


def test_a_server_does_not_start_with_another_store_s_database(
    root: Path, base: BaseSpec, delta: Make, tmp_path: Path
) -> None:
    other, before = stored(tmp_path / "other", base, delta(2)), blobs(root)
    (root / DATABASE).rename(tmp_path / DATABASE)
    (other / DATABASE).rename(root / DATABASE)
    with pytest.raises(InvalidSettings, match="another registry's tasks"):
        Registry(Store(root), base)
    with pytest.raises(InvalidSettings, match="another registry's tasks"):
        collect(root)
    assert blobs(root) == before
    (root / CLAIM).unlink()
    # Nothing tells any more whose blobs these are: they are kept aside.
    Registry(Store(root), base).close()
    (aside,) = root.glob("blobs-*")
    assert {path.name for path in aside.iterdir()} == before


def test_a_back_up_of_before_there_were_ids_is_taken(
    root: Path, base: BaseSpec, delta: Make
) -> None:
    told = (root / CLAIM).read_text()
    with closing(sqlite3.connect(root / DATABASE)) as connection, connection:
        connection.execute("DROP TABLE identity")
        connection.execute("UPDATE alembic_version SET version_num = '0007'")
    with closing(Registry(Store(root), base)) as registry:
        assert serves(registry) == 1
        registry.put(SPAM, delta(2))
    assert (root / CLAIM).read_text() == told


def test_a_store_of_a_database_elsewhere_is_of_no_other(
    base: BaseSpec, delta: Make, tmp_path: Path, postgres: Cluster
) -> None:
    first, second, empty = (postgres.database() for _ in range(3))
    root = stored(tmp_path / "first", base, delta(1), first)
    stored(tmp_path / "second", base, delta(2), second)
    before = blobs(root)
    for url in (second, empty):
        with pytest.raises(InvalidSettings, match="another registry's tasks"):
            Registry(Store(root), base, database=open_database(url, root))
    with pytest.raises(InvalidSettings, match="in a registry in PostgreSQL"):
        open_database(None, root)
    assert blobs(root) == before
    # Stores of several servers are of one registry.
    for store in (root, tmp_path / "third"):
        with closing(
            Registry(Store(store), base, database=open_database(first, store))
        ) as registry:
            assert registry.get(SPAM).active.number == 1
            assert registry.versions.of(SPAM).name == SPAM
    with closing(Registry(Store(root), base, database=open_database(first, root))) as registry:
        assert serves(registry) == 1


def test_an_emptied_database_elsewhere_costs_no_blob(
    base: BaseSpec, delta: Make, tmp_path: Path, postgres: Cluster
) -> None:
    url, root = postgres.database(), tmp_path / "store"
    stored(root, base, delta(1), url)
    before = blobs(root)
    with closing(Registry(Store(root), base, database=open_database(url, root))) as registry:
        with psycopg.connect(url) as connection:
            for table in METADATA.tables:
                connection.execute(f"CREATE TABLE kept_{table} AS TABLE {table}".encode())
                connection.execute(f"DELETE FROM {table}".encode())
        for _ in range(3):
            with pytest.raises(InvalidSettings, match="another registry's tasks"):
                registry.look()
        registry._keeper._sweeper.soon(before)
        registry.settle()
        assert blobs(root) == before
        assert serves(registry) == 1
        with psycopg.connect(url) as connection:
            for table in METADATA.tables:
                connection.execute(f"INSERT INTO {table} TABLE kept_{table}".encode())
        registry.look()
        registry.settle()
        assert blobs(root) == before
        registry.put(SPAM, delta(2))
        assert serves(registry) == 2
