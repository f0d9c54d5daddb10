"""Databases that an earlier release wrote, as they were recorded, become this release's."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from server.errors import KeyNotFound
from server.registry.audit import Act
from server.registry.catalogue.catalogue import Catalogue
from server.registry.catalogue.database import Database
from server.registry.catalogue.keys import Keys
from server.registry.catalogue.opening import open_database
from server.registry.catalogue.tables import METADATA
from server.registry.layout import DATABASE
from server.registry.names import shared
from tests.postgres import Cluster

RECORDED = Path(__file__).parents[2] / "fixtures/registry"
BASE = "65332102f815f624"
"""The fingerprint of the base whose tasks were recorded."""

FIRST, SECOND, THIRD = "15b3014013fc", "ab36995377e1", "91129b98808a"


@pytest.fixture(params=["sqlite", "postgresql"])
def database(
    request: pytest.FixtureRequest, postgres: Cluster, tmp_path: Path
) -> Iterator[Database]:
    """What the first release with shared traffic left, before there were tenants."""
    script = (RECORDED / f"0002.{request.param}.sql").read_text()
    url = None
    if request.param == "sqlite":
        with closing(sqlite3.connect(tmp_path / DATABASE)) as old:
            old.executescript(script)
    else:
        url = postgres.database()
        with psycopg.connect(url, autocommit=True) as old:
            old.execute(script.encode())
    with closing(open_database(url, tmp_path)) as database:
        yield database


def test_its_tasks_are_served_as_they_were(database: Database) -> None:
    damaged, gone, spam, topic = Catalogue(database, BASE).tasks()
    assert damaged.damaged
    assert (gone.active, len(gone.versions)) == (None, 1)
    assert [each.ref.version for each in spam.versions] == [FIRST, SECOND]
    assert (spam.active, dict(spam.aliases), spam.latest) == (1, {"champion": 2}, 2)
    assert [each.ref.version for each in topic.versions] == [SECOND, THIRD]
    assert topic.traffic is not None
    assert dict(topic.traffic.shares) == {1: 90, 2: 10}


def test_it_is_changed_like_any_other(database: Database) -> None:
    catalogue = Catalogue(database, BASE)
    seen = catalogue.newest()
    catalogue.change(shared("spam"), Act("activate"), lambda task: task.activated(2, 1.0))
    assert catalogue.task(shared("spam")).active == 2
    assert catalogue.changes(seen).tasks == {shared("spam")}
    (entry,) = catalogue.audit.entries(9)
    assert (entry.kind, entry.task) == ("activate", shared("spam"))
    keys = Keys(database)
    assert keys.all() == ([], [])
    with pytest.raises(KeyNotFound):
        keys.revoke("nobody")


def test_its_tables_are_those_that_are_used(database: Database) -> None:
    with database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []
