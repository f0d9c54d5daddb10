"""Damaged databases: what is sound is kept, what is not is named, and nothing is guessed."""

import logging
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from deltas.base import BaseSpec
from deltas.delta import DeltaRef, TaskType
from server.errors import InsufficientStorage, InvalidSettings
from server.registry.audit import Act
from server.registry.catalogue.catalogue import Catalogue
from server.registry.catalogue.mend import mend
from server.registry.catalogue.sqlite import Sqlite
from server.registry.layout import DATABASE, KEYED
from server.registry.names import shared
from server.registry.registry import Registry
from server.registry.store import Store
from server.registry.task import Task
from server.registry.version import Version

PAGE = 4096
BASE = "b" * 64
Truth = dict[str, Task]
Damage = Callable[[bytearray, Random], None]


def recorded(path: Path) -> Truth:
    """Write tasks that were put, put again, named and removed, and return them."""
    database = Sqlite(path)
    catalogue = Catalogue(database, BASE)
    random = Random(0)
    for step in range(160):
        name = f"task-{random.randrange(40)}"
        digest = random.randbytes(32).hex()
        version = Version(DeltaRef(name, digest), TaskType.GENERATE, source="s" * 60, bytes=step)

        def put(task: Task, version: Version = version, step: int = step) -> Task:
            task = task.put(version, float(step))
            return task.aliased("first", task.versions[0].number) if step % 3 == 0 else task

        catalogue.change(shared(name), Act("put"), put)
        if step % 8 == 0:
            catalogue.change(shared(name), Act("remove"), lambda task: Task(task.name))
    truth = {task.name.name: task for task in catalogue.tasks()}
    database.close()
    return truth


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Truth]:
    path = tmp_path_factory.mktemp("record") / DATABASE
    truth = recorded(path)
    return path.read_bytes(), truth


def zero_a_page(data: bytearray, random: Random) -> None:
    start = PAGE * random.randrange(len(data) // PAGE)
    data[start : start + PAGE] = bytes(PAGE)


def flip_bytes(data: bytearray, random: Random) -> None:
    for _ in range(random.choice((1, 1, 4, 40))):
        data[random.randrange(len(data))] ^= random.randrange(1, 256)


def spoil_a_stretch(data: bytearray, random: Random) -> None:
    size = random.randrange(1, 2 * PAGE)
    start = random.randrange(len(data) - size)
    data[start : start + size] = random.randbytes(size)


def swap_pages(data: bytearray, random: Random) -> None:
    one, other = (PAGE * each for each in random.sample(range(len(data) // PAGE), 2))
    held = data[one : one + PAGE]
    data[one : one + PAGE] = data[other : other + PAGE]
    data[other : other + PAGE] = held


def cut_off(data: bytearray, random: Random) -> None:
    del data[random.randrange(len(data)) :]


def lose_the_header(data: bytearray, random: Random) -> None:
    data[:100] = random.randbytes(100) if random.random() < 0.5 else bytes(100)


DAMAGES: tuple[Damage, ...] = (
    zero_a_page, flip_bytes, spoil_a_stretch, swap_pages, cut_off, lose_the_header
)  # fmt: skip


def left(data: bytes, directory: Path) -> Truth:
    """The tasks that are served of a database's file."""
    path = directory / "store" / DATABASE
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    try:
        mend(path)
        database = Sqlite(path)
    except InvalidSettings:
        # What looks like a later release's: no server starts then.
        return {}
    assert not list(path.parent.glob("mending-*"))
    tasks = {task.name.name: task for task in Catalogue(database, BASE).tasks()}
    database.close()
    return tasks


def assert_no_other(found: Truth, truth: Truth) -> None:
    """Each task is what it was, or is told to be damaged; versions may be fewer, never others."""
    for name, task in found.items():
        known = truth[name]
        assert set(task.versions) <= set(known.versions)
        assert task.aliases.items() <= known.aliases.items()
        if not task.damaged:
            assert (task.active, task.latest, task.changed) == (
                known.active, known.latest, known.changed
            )  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda each: each.__name__)
def test_whatever_is_damaged_no_task_is_another_than_it_was(
    damage: Damage, record: tuple[bytes, Truth], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    data, truth = record
    for seed in range(35):
        spoiled = bytearray(data)
        damage(spoiled, Random(seed))
        assert_no_other(left(bytes(spoiled), tmp_path / str(seed)), truth)
        shutil.rmtree(tmp_path / str(seed))


def test_what_a_header_tells_is_known_without_it(
    record: tuple[bytes, Truth], tmp_path: Path
) -> None:
    data, truth = record
    assert left(bytes(100) + data[100:], tmp_path) == truth


def seals(path: Path) -> set[str]:
    """What tells each sound row."""
    with closing(sqlite3.connect(path)) as connection:
        tables = ("tasks", "versions")
        return {
            row[0] for table in tables for row in connection.execute(f"SELECT seal FROM {table}")
        }


TABLE, INDEX = b"\x0d", b"\x0a"
"""What the pages of SQLite's file format begin with that have rows, and entries of an index."""


def test_of_a_lost_page_that_rows_alone_are_lost(
    record: tuple[bytes, Truth], tmp_path: Path
) -> None:
    data, _ = record
    (tmp_path / "whole").write_bytes(data)
    whole = seals(tmp_path / "whole")
    met: set[bytes] = set()
    for start in range(PAGE, len(data), PAGE):
        page = data[start : start + PAGE]
        if page[:1] not in (TABLE, INDEX):
            continue
        met.add(page[:1])
        expected = {seal for seal in whole if seal.encode() not in page}
        left(data[:start] + bytes(PAGE) + data[start + PAGE :], tmp_path / str(start))
        # A page may show rows, too, that were moved to another.
        assert seals(tmp_path / str(start) / "store" / DATABASE) >= expected
    assert met == {TABLE, INDEX}


def test_a_mended_store_serves_what_is_sound_and_keeps_every_blob(
    base: BaseSpec, registry: Registry, delta: Callable[[int], Path], tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    for name, number in (("a", 1), ("b", 2)):
        registry.put(shared(name), delta(number))
    registry.close()
    path = tmp_path / "store" / DATABASE
    data = path.read_bytes()
    (seal,) = (row[0] for row in query(path, "SELECT seal FROM tasks WHERE name = 'b'"))
    # The row is spoiled, and a page of an index lost.
    spoiled = bytearray(data.replace(seal.encode(), b"0" * 64))
    (root,) = query(path, "SELECT rootpage FROM sqlite_schema WHERE name = 'ix_versions_digest'")
    spoiled[PAGE * (root[0] - 1) : PAGE * root[0]] = bytes(PAGE)
    path.write_bytes(spoiled)
    with caplog.at_level(logging.ERROR):
        again = Registry(Store(tmp_path / "store"), base)
    assert [str(task.name) for task in again.all()] == ["a"]
    (aside,) = (tmp_path / "store").glob("damaged-*.sqlite3")
    assert aside.read_bytes() == spoiled
    assert f"kept as {aside.name}" in caplog.text
    assert "lost are: b." in caplog.text
    again.remove(shared("a"), forever=True)
    again.settle()
    assert len(list((tmp_path / "store" / "blobs").iterdir())) == 2
    again.put(shared("b"), delta(2))
    assert not again.put(shared("b"), delta(2))[1]
    again.close()
    # Only what was moved elsewhere is settled.
    aside.rename(tmp_path / "elsewhere")
    last = Registry(Store(tmp_path / "store"), base)
    last.settle()
    assert [str(task.name) for task in last.all()] == ["b"]
    assert len(list((tmp_path / "store" / "blobs").iterdir())) == 1
    last.close()


def test_a_mending_that_was_killed_is_done_again(
    record: tuple[bytes, Truth], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, truth = record
    path = tmp_path / DATABASE
    path.write_bytes(bytes(100) + data[100:])

    def killed(*_: object, **__: object) -> None:
        raise InterruptedError

    for name in ("copyfile", "rmtree", "rename"):
        with monkeypatch.context() as patched:
            patched.setattr(Path if name == "rename" else shutil, name, killed)
            (tmp_path / "mending-old").mkdir(exist_ok=True)
            with pytest.raises(InsufficientStorage):
                mend(path)
        assert len(list(tmp_path.glob("damaged-*"))) <= 1
    mend(path)
    assert len(list(tmp_path.glob("damaged-*"))) == 1
    database = Sqlite(path)
    assert {task.name.name: task for task in Catalogue(database, BASE).tasks()} == truth
    database.close()


def query(path: Path, statement: str) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


def test_where_keys_are_lost_servers_remember_that_there_were_some(
    record: tuple[bytes, Truth], tmp_path: Path
) -> None:
    path = tmp_path / DATABASE
    recorded(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        row = ("ops", "", "admin", "d" * 64, 1.0, None, None, "no seal")
        connection.execute("INSERT INTO keys VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
    data = path.read_bytes()
    path.write_bytes(bytes(100) + data[100:])
    mend(path)
    assert (tmp_path / KEYED).exists()


def test_a_later_releases_database_is_left_alone_though_its_tables_are_the_same(
    record: tuple[bytes, Truth], tmp_path: Path
) -> None:
    path = tmp_path / DATABASE
    path.write_bytes(record[0])
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '0999'")
    data = path.read_bytes()
    mend(path)
    assert path.read_bytes() == data
    with pytest.raises(InvalidSettings, match="later release"):
        Sqlite(path)
    assert not list(tmp_path.glob("damaged-*"))
