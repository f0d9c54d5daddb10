"""Archives: what was exported is imported whole or not at all, whoever wrote the file."""

import json
import shutil
import signal
import sqlite3
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from deltas.base import BaseSpec
from deltas.formats import native
from server.errors import (
    DeltaUnavailable,
    InvalidArchive,
    InvalidSettings,
    TaskNotFound,
)
from server.registry.catalogue.catalogue import Catalogue
from server.registry.catalogue.sqlite import Sqlite
from server.registry.layout import DATABASE
from server.registry.names import shared
from server.registry.registry import Registry
from server.registry.store import Store
from server.registry.task import Task
from server.registry.upkeep.exporting import export
from tests.forked import forked
from tests.server.registry.kills import die_at
from tests.server.registry.prompts import number_of
from tests.server.registry.upkeep.archives import TENANTS, begin, blobs, read, results

Make = Callable[[int], Path]


def tasks(root: Path, base: BaseSpec) -> list[Task]:
    with closing(Sqlite(root / DATABASE)) as database:
        return Catalogue(database, base.fingerprint).tasks()


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made / "store", tmp_path / "store")


@pytest.fixture
def registry(root: Path, base: BaseSpec) -> Iterator[Registry]:
    """A server's, of the store."""
    with closing(Registry(Store(root), base)) as registry:
        yield registry


def test_a_new_store_gets_all_that_was_there(
    root: Path, archive: Path, new: Path, base: BaseSpec
) -> None:
    imported = read(new, archive)
    assert results(imported) == dict.fromkeys(("a", "b", "d", "acme/c"), "imported")
    assert imported.fault == ""
    assert tasks(new, base) == tasks(root, base)
    assert blobs(new) == blobs(root)
    assert not list(new.glob("run-*"))
    export(new, new.parent / "again.tar", (), begin)
    assert (new.parent / "again.tar").read_bytes() == archive.read_bytes()
    with closing(Registry(Store(new), base)) as registry:
        assert number_of(registry.load(registry.get(shared("a@2")).version.ref)) == 2


def test_one_state_makes_the_same_bytes_that_any_tar_reads(
    root: Path, archive: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again.tar"
    told = export(root, again, (), begin)
    assert again.read_bytes() == archive.read_bytes()
    assert (told.tasks, told.versions, told.blobs) == (4, 5, 4)
    assert told.bytes == archive.stat().st_size
    with tarfile.open(archive) as opened:
        members = opened.getmembers()
        first = opened.extractfile(members[0])
        assert first is not None
        assert json.load(first)["format"] == 1
    assert members[0].name == "manifest.json"
    assert {each.name for each in members[1:]} == blobs(root).keys()
    assert {(each.mtime, each.uid, each.uname, each.type) for each in members} == {
        (0, 0, "", tarfile.REGTYPE)
    }


def test_some_tasks_are_picked_and_one_that_is_not_there_is_named(
    root: Path, new: Path, tmp_path: Path, base: BaseSpec
) -> None:
    path = tmp_path / "some.tar"
    assert export(root, path, ("b", "acme/c"), begin).tasks == 2
    path.unlink()
    with pytest.raises(TaskNotFound, match="'nothing'"):
        export(root, path, ("b", "nothing"), begin)
    assert not list(tmp_path.glob("*some.tar*"))
    export(root, path, ("b", "acme/c"), begin)
    read(new, path)
    assert [str(task.name) for task in tasks(new, base)] == ["b", "acme/c"]


def test_a_damaged_blob_is_named_and_no_file_is_left(
    root: Path, registry: Registry, tmp_path: Path
) -> None:
    digest = registry.get(shared("a@2")).version.ref.digest
    with (root / "blobs" / digest / native.WEIGHTS).open("r+b") as file:
        file.write(b"\1")
    with pytest.raises(DeltaUnavailable, match="a@2"):
        export(root, tmp_path / "sound.tar", (), begin)
    assert not list(tmp_path.glob("*sound.tar*"))


def test_rows_that_are_damaged_are_left_out_and_told(root: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(root / DATABASE)) as connection, connection:
        connection.execute("UPDATE tasks SET latest = 9 WHERE name = 'b'")
    exported = export(root, tmp_path / "sound.tar", (), begin)
    assert (exported.tasks, exported.left_out) == (3, ("b",))
    assert export(root, tmp_path / "sound.tar", ("a",), begin).left_out == ()
    with pytest.raises(TaskNotFound, match="'b' is damaged"):
        export(root, tmp_path / "sound.tar", ("b",), begin)


def test_a_file_that_cannot_be_written_is_told(root: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="cannot be written"):
        export(root, tmp_path / "none" / "all.tar", (), begin)


def test_what_is_there_stays_unless_it_is_to_be_replaced(
    root: Path, archive: Path, registry: Registry, delta: Make, base: BaseSpec
) -> None:
    before = tasks(root, base)
    assert set(results(read(root, archive)).values()) == {"unchanged"}
    assert tasks(root, base) == before
    registry.remove(shared("b"), forever=True)
    # Number 1 is of other files now.
    registry.put(shared("b"), delta(9))
    other = registry.get(shared("b")).active.ref
    imported = read(root, archive)
    assert results(imported) == {
        "a": "unchanged",
        "b": "refused",
        "d": "unchanged",
        "acme/c": "unchanged",
    }
    assert "--replace" in imported.tasks[1].reason
    assert registry.get(shared("b")).active.ref == other
    assert results(read(root, archive, replace=True))["b"] == "replaced"
    assert tasks(root, base) == before
    registry.look()
    assert number_of(registry.load(registry.get(shared("b")).active.ref)) == 1
    assert other.digest not in {path.name for path in (root / "blobs").iterdir()}


def test_files_that_are_gone_come_back(
    root: Path, archive: Path, registry: Registry, base: BaseSpec
) -> None:
    before = blobs(root)
    place = root / "blobs" / registry.get(TENANTS).active.ref.digest
    place.rename(root.parent / "gone")
    assert results(read(root, archive))["acme/c"] == "restored"
    assert blobs(root) == before


def test_a_server_that_runs_takes_tasks_over(
    delta: Make, archive: Path, base: BaseSpec, new: Path
) -> None:
    with closing(Registry(Store(new), base)) as other:
        other.put(shared("own"), delta(7))
        read(new, archive)
        other.look()
        names = {each.name for each in other.all()}
        assert names == {"a", "b", "own"}
        assert number_of(other.load(other.get(shared("b")).active.ref)) == 1


def test_a_file_that_was_cut_off_gives_the_tasks_that_came_whole(
    archive: Path, new: Path, root: Path, base: BaseSpec
) -> None:
    data = archive.read_bytes()
    whole = {str(task.name): task for task in tasks(root, base)}
    seen: set[str] = set()
    for end in range(0, len(data), 1536):
        archive.write_bytes(data[:end])
        try:
            imported = read(new, archive)
        except InvalidArchive:
            assert not new.exists()
            continue
        assert imported.fault
        seen.update(results(imported).values())
        there = tasks(new, base)
        assert all(task == whole[str(task.name)] for task in there)
        digests = {each.ref.digest for task in there for each in task.versions}
        assert {path.name for path in (new / "blobs").iterdir()} == digests
    assert seen == {"imported", "unchanged", "refused"}
    archive.write_bytes(data)
    assert read(new, archive).fault == ""
    assert tasks(new, base) == tasks(root, base)


def test_files_that_are_not_those_exported_refuse_their_task_alone(
    archive: Path, new: Path, base: BaseSpec, registry: Registry
) -> None:
    digest = registry.get(TENANTS).active.ref.digest
    with tarfile.open(archive) as opened:
        member = opened.getmember(f"blobs/{digest}/{native.WEIGHTS}")
    with archive.open("r+b") as file:
        file.seek(member.offset_data + member.size - 1)
        file.write(b"\7")
    assert results(read(new, archive)) == {
        "a": "imported",
        "b": "imported",
        "d": "imported",
        "acme/c": "refused",
    }
    assert not (new / "blobs" / digest).exists()


def test_a_store_that_is_full_refuses_and_keeps_nothing(archive: Path, new: Path) -> None:
    imported = read(new, archive, quota=100)
    assert set(results(imported).values()) == {"refused"}
    assert "full" in imported.tasks[0].reason
    assert blobs(new) == {}


def test_blobs_without_their_database_are_not_mixed_with_others(archive: Path, new: Path) -> None:
    (new / "blobs" / ("0" * 64)).mkdir(parents=True)
    with pytest.raises(InvalidSettings, match="back-up"):
        read(new, archive)
    assert not (new / DATABASE).exists()


def killed(root: Path, archive: Path, point: tuple[str, str, int]) -> None:
    die_at(*point)
    read(root, archive)


@pytest.mark.parametrize(
    "point",
    [
        ("server.registry.staging:Staging", "write", 3),
        ("os", "fsync", 5),
        ("pathlib:Path", "rename", 2),
        ("server.registry.catalogue.catalogue:Catalogue", "change", 2),
        ("server.registry.catalogue.catalogue:Catalogue", "_write", 1),
        ("server.registry.store:Store", "sweep", 1),
    ],
)
def test_a_kill_leaves_nothing_half(
    archive: Path, new: Path, root: Path, base: BaseSpec, point: tuple[str, str, int]
) -> None:
    with forked(killed, new, archive, point, log=new.with_suffix(".log")) as process:
        process.join()
        assert process.exitcode == -signal.SIGKILL
    whole = {task.name: task for task in tasks(root, base)}
    assert all(task == whole[task.name] for task in tasks(new, base))
    assert set(results(read(new, archive)).values()) <= {"imported", "unchanged"}
    assert tasks(new, base) == tasks(root, base)
    with closing(Registry(Store(new), base)) as registry:
        registry.settle()
    assert blobs(new) == blobs(root)
    assert not list(new.glob("run-*"))
