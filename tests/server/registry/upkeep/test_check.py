"""Checking a store: what is sound is told to be, and each thing that is not is named."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from deltas.base import BaseSpec
from deltas.formats import native
from server.errors import InvalidSettings
from server.registry.layout import DATABASE
from server.registry.names import shared
from server.registry.registry import Registry
from server.registry.signatures import Signatures
from server.registry.store import Store
from server.registry.upkeep.check import Report, check
from server.registry.upkeep.finding import Finding
from tests.signing import Pair

Make = Callable[[int], Path]


@pytest.fixture
def root(registry: Registry, delta: Make, tmp_path: Path) -> Path:
    """A store with tasks a and b, of a version each, and c of two; its server runs."""
    for name, number in (("a", 1), ("b", 2), ("c", 3), ("c", 4)):
        registry.put(shared(name), delta(number))
    registry.settle()
    return tmp_path / "store"


def look(root: Path) -> Report:
    return check(root, lambda _: lambda: None)


def told(root: Path) -> list[tuple[str, str, str]]:
    return [(each.about, each.where, each.fault) for each in look(root).findings]


def state(root: Path) -> dict[str, bytes]:
    """All files, but for SQLite's index of its log, which every reader writes to."""
    files = (path for path in root.rglob("*") if path.is_file() and path.suffix != ".sqlite3-shm")
    return {str(path): path.read_bytes() for path in files}


def change(root: Path, statement: str) -> None:
    with closing(sqlite3.connect(root / DATABASE)) as connection, connection:
        connection.execute(statement)


def test_a_sound_store_is_told_so_beside_its_server_and_left_as_it_is(root: Path) -> None:
    before, steps = state(root), list[int]()

    def begin(total: int) -> Callable[[], None]:
        assert total == 4
        return lambda: steps.append(1)

    report = check(root, begin)
    assert (report.tasks, report.versions, report.blobs, report.findings) == (3, 4, 4, ())
    assert len(steps) == 4
    assert report.bytes == sum(len(data) for name, data in before.items() if "blobs" in name)
    assert state(root) == before


def test_a_damaged_blob_and_a_lost_one_name_their_versions(root: Path, registry: Registry) -> None:
    a, b = (registry.get(shared(name)).active.ref.digest for name in "ab")
    with (root / "blobs" / a / native.WEIGHTS).open("r+b") as file:
        file.write(b"\1")
    shutil.rmtree(root / "blobs" / b)
    assert told(root) == sorted([("blob", a, "is damaged: a@1"), ("blob", b, "is gone: b@1")])


def test_versions_without_a_signature_are_named(
    root: Path, registry: Registry, delta: Make, tmp_path: Path
) -> None:
    pair = Pair.make(tmp_path)
    registry.put(shared("c"), pair.sign(delta(5)))
    found = check(root, lambda _: lambda: None, Signatures(pair.public)).findings
    assert [each.where for each in found] == ["a@1", "b@1", "c@1", "c@2"]
    assert all("model_signing sign key" in each.advice for each in found)


def test_what_no_version_has_is_told_unless_a_server_is_at_it(
    root: Path, registry: Registry, delta: Make
) -> None:
    with registry.stage() as staging:
        for path in delta(9).iterdir():
            with staging.begin(path.name) as file:
                staging.write(file, path.read_bytes())
        digest = staging.digest
        with registry._store.keeping(staging, digest):
            assert told(root) == []
    assert told(root) == [("leftover", digest, "is a blob of no version")]


def test_rows_that_are_not_as_they_were_written_are_named(root: Path) -> None:
    change(root, "UPDATE tasks SET latest = 9 WHERE name = 'a'")
    change(root, "UPDATE versions SET about = about || ' ' WHERE task = 'c' AND number = 1")
    fault = "is not as it was written"
    assert told(root) == [("task", "a", fault), ("version", "c@1", fault)]


def test_leftovers_and_what_was_set_aside_are_told(root: Path) -> None:
    (root / "run-dead").mkdir()
    (root / "run-dead" / "lock").touch()
    (root / "run-older" / "scratch").mkdir(parents=True)
    (root / "blobs-1234").mkdir()
    (root / "blobs" / "notes.txt").touch()
    assert [(about, where) for about, where, _ in told(root)] == [
        ("aside", "blobs-1234"),
        ("blob", "notes.txt"),
        ("leftover", "run-dead"),
        ("leftover", "run-older"),
    ]


def test_a_damaged_database_is_told_and_blobs_are_read_all_the_same(root: Path) -> None:
    change(root, "PRAGMA wal_checkpoint(TRUNCATE)")
    with (root / DATABASE).open("r+b") as file:
        file.write(b"no database here")
    (first, *_) = sorted((root / "blobs").iterdir())
    (first / native.WEIGHTS).write_bytes(b"")
    assert told(root) == [
        ("blob", first.name, "is damaged"),
        ("database", DATABASE, "file is not a database"),
    ]


def test_what_is_missed_of_a_database_that_was_set_aside_is_told(
    root: Path, registry: Registry, base: BaseSpec
) -> None:
    change(root, "PRAGMA wal_checkpoint(TRUNCATE)")
    change(root, "UPDATE tasks SET latest = 9 WHERE name = 'a'")
    registry.close()
    data = (root / DATABASE).read_bytes()
    (root / DATABASE).write_bytes(bytes(100) + data[100:])
    again = Registry(Store(root), base)
    (finding,) = (each for each in look(root).findings if each.about == "aside")
    assert finding.fault == "was a damaged database; missed of it: a"
    again.close()


def test_a_database_that_is_gone_is_told(root: Path) -> None:
    (root / DATABASE).unlink()
    found: list[Finding] = [*look(root).findings]
    assert [(each.where, each.fault) for each in found] == [(DATABASE, "is not there")]
    assert not (root / DATABASE).exists()


def test_what_is_no_store_is_not_made_one(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="--store"):
        look(tmp_path / "none")
    assert not (tmp_path / "none").exists()
