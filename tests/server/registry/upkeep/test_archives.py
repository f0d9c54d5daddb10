"""Archives: what was exported is imported whole or not at all, whoever wrote the file."""

import io
import json
import shutil
import signal
import sqlite3
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

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
from server.registry.names import TaskName, shared
from server.registry.registry import Registry
from server.registry.store import Store
from server.registry.task import Task
from server.registry.upkeep.archive import Writer
from server.registry.upkeep.exporting import export
from server.registry.upkeep.importing import Imported, import_archive
from server.registry.upkeep.manifest import Manifest, read_manifest
from tests.forked import forked
from tests.server.registry.kills import die_at
from tests.server.registry.prompts import number_of, write_prompt

Make = Callable[[int], Path]
Edit = Callable[[dict[str, Any]], object]
GIB = 1 << 30
TENANTS = TaskName("acme", "c")


def begin(_: int) -> Callable[[], None]:
    return lambda: None


def read(root: Path, archive: Path, **how: Any) -> Imported:
    return import_archive(root, archive, begin, **{"quota": GIB, **how})


def results(imported: Imported) -> dict[str, str]:
    return {each.task: each.result for each in imported.tasks}


def tasks(root: Path, base: BaseSpec) -> list[Task]:
    with closing(Sqlite(root / DATABASE)) as database:
        return Catalogue(database, base.fingerprint).tasks()


def blobs(root: Path) -> dict[str, bytes]:
    found = (path for path in (root / "blobs").rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in found}


@pytest.fixture(scope="module")
def made(base: BaseSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store and its archive.

    It has versions that share traffic, a blob of two tasks, a tenant's task, and a removed one.
    """
    made = tmp_path_factory.mktemp("made")
    with closing(Registry(Store(made / "store"), base)) as registry:
        for name, number in ((shared("a"), 1), (shared("a"), 2), (shared("b"), 1), (TENANTS, 3)):
            delta = write_prompt(made / f"{number}", base, number)
            registry.put(name, delta, source=f"number {number}")
        registry.versions.alias(shared("a"), "champion", 1)
        registry.sharing.share(shared("a"), {"1": 90, "2": 10})
        registry.put(shared("d"), write_prompt(made / "4", base, 4))
        registry.remove(shared("d"))
        registry.settle()
        export(made / "store", made / "all.tar", (), begin)
    return made


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made / "store", tmp_path / "store")


@pytest.fixture
def registry(root: Path, base: BaseSpec) -> Iterator[Registry]:
    """A server's, of the store."""
    with closing(Registry(Store(root), base)) as registry:
        yield registry


@pytest.fixture
def archive(made: Path, tmp_path: Path) -> Path:
    return shutil.copy(made / "all.tar", tmp_path / "all.tar")


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return tmp_path / "new"


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


def remade(archive: Path, change: Callable[[tarfile.TarInfo], object]) -> None:
    """Write the archive again, its last member changed."""
    with tarfile.open(archive) as opened:
        members = [(each, opened.extractfile(each)) for each in opened.getmembers()]
        bodies = [(each, file.read() if file else b"") for each, file in members]
    with tarfile.open(archive, "w", format=tarfile.USTAR_FORMAT) as out:
        for member, body in bodies[:-1]:
            out.addfile(member, io.BytesIO(body))
        last, body = bodies[-1]
        change(last)
        # A long name needs what plain archives do not have.
        out.format = tarfile.GNU_FORMAT if len(last.name) > 200 else tarfile.USTAR_FORMAT
        out.addfile(last, io.BytesIO(body))
    data = archive.read_bytes()
    # Others pad archives, which is no matter here.
    archive.write_bytes(data.rstrip(b"\0") + bytes(-len(data.rstrip(b"\0")) % 512) + bytes(1024))


def test_an_archive_that_is_made_again_of_the_same_is_the_same(archive: Path) -> None:
    before = archive.read_bytes()
    remade(archive, lambda member: None)
    assert archive.read_bytes() == before


def renamed(to: str) -> Callable[[tarfile.TarInfo], object]:
    return lambda member: setattr(member, "name", to)


def typed(kind: bytes, target: str = "") -> Callable[[tarfile.TarInfo], object]:
    def change(member: tarfile.TarInfo) -> None:
        member.type, member.linkname, member.size = kind, target, 0

    return change


@pytest.mark.parametrize(
    "change",
    [
        renamed("../outside"),
        renamed("/tmp/outside"),
        renamed("blobs/../../outside"),
        renamed("manifest.json"),
        renamed("blobs/" + "0" * 200),
        typed(tarfile.SYMTYPE, "/etc/passwd"),
        typed(tarfile.LNKTYPE, "manifest.json"),
        typed(tarfile.CHRTYPE),
        typed(tarfile.FIFOTYPE),
        typed(tarfile.DIRTYPE),
        typed(tarfile.GNUTYPE_SPARSE),
        typed(tarfile.XHDTYPE),
        lambda member: setattr(member, "size", member.size - 1),
        lambda member: setattr(member, "mode", 0o4755),
    ],
)
def test_a_member_that_is_not_what_must_come_ends_the_import(
    archive: Path, new: Path, change: Callable[[tarfile.TarInfo], object]
) -> None:
    remade(archive, change)
    before = sorted(archive.parent.iterdir())
    imported = read(new, archive)
    assert "something else does" in imported.fault
    assert results(imported)["acme/c"] == "refused"
    assert [path for path in sorted(archive.parent.iterdir()) if path not in before] == [new]
    assert not list(new.glob("run-*"))


def test_more_than_the_manifest_names_is_told(archive: Path, new: Path) -> None:
    data = archive.read_bytes()
    archive.write_bytes(data[:-1024] + data[:1024] + data[-1024:])
    assert "goes on" in read(new, archive).fault


@pytest.mark.parametrize("data", [b"", b"no archive" * 200, bytes(2048), b"\x1f\x8b" + bytes(2000)])
def test_what_is_no_archive_makes_no_store(tmp_path: Path, new: Path, data: bytes) -> None:
    (tmp_path / "other.tar").write_bytes(data)
    with pytest.raises(InvalidArchive):
        read(new, tmp_path / "other.tar")
    assert not new.exists()


def first(manifest: dict[str, Any]) -> dict[str, Any]:
    return manifest["tasks"][0]["task"]


HOSTILE: dict[str, Edit] = {
    "a later format": lambda m: m.update(format=2),
    "an unknown fact": lambda m: first(m).update(owner="me"),
    "a text for a number": lambda m: first(m).update(latest="2"),
    "a task twice": lambda m: m["tasks"].append(m["tasks"][0]),
    "a base that is a path": lambda m: m["tasks"][0].update(base="../x"),
    "a name that is a path": lambda m: first(m)["name"].update(name="../x"),
    "the bare base's name": lambda m: first(m)["name"].update(name="base"),
    "a tenant that is a path": lambda m: first(m)["name"].update(tenant="../x"),
    "no versions": lambda m: first(m).update(versions=[]),
    "a version twice": lambda m: first(m)["versions"].append(first(m)["versions"][0]),
    "a number that was not given": lambda m: first(m).update(latest=1),
    "a number beyond the database's": lambda m: first(m).update(latest=1 << 70),
    "a version that is not there": lambda m: first(m).update(active=9),
    "an alias that is a number": lambda m: first(m)["aliases"].update({"7": 1}),
    "an alias of no version": lambda m: first(m)["aliases"].update(x=9),
    "very many aliases": lambda m: first(m)["aliases"].update({f"x{n}": 1 for n in range(70)}),
    "a share below 0": lambda m: first(m)["traffic"]["shares"].update({"1": -1}),
    "a bound that is no share": lambda m: first(m)["traffic"].update(
        bound={"errors": 2.0, "window": 60.0, "requests": 20}
    ),
    "another task's version": lambda m: first(m)["versions"][0]["ref"].update(task="b"),
    "an unknown kind": lambda m: first(m)["versions"][0].update(kinds=["other"]),
    "a measure below 0": lambda m: first(m)["versions"][0].update(rank=-1),
    "a long card": lambda m: first(m)["versions"][0].update(card="x" * 9000),
    "a digest that is a path": lambda m: m["blobs"][0].update(digest="../x"),
    "a blob of no version": lambda m: m["blobs"].append({"digest": "0" * 64, "files": {}}),
    "a blob too few": lambda m: m["blobs"].pop(),
    "a file that is a path": lambda m: m["blobs"][0]["files"].update({"../x": 1}),
    "a size below 0": lambda m: m["blobs"][0]["files"].update({"x": -1}),
    "a size without end": lambda m: m["blobs"][0]["files"].update({"x": 1 << 70}),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_manifest_that_is_not_sound_is_refused(archive: Path, what: str) -> None:
    with tarfile.open(archive) as opened:
        file = opened.extractfile("manifest.json")
        assert file is not None
        data = file.read()
    read_manifest(data)
    manifest = json.loads(data)
    HOSTILE[what](manifest)
    with pytest.raises(InvalidArchive):
        read_manifest(json.dumps(manifest).encode())


def test_files_that_are_no_deltas_are_refused(
    root: Path, archive: Path, new: Path, registry: Registry
) -> None:
    """The digest fits, but there is a file more than a delta has."""
    with registry.stage() as staging:
        source = root / "blobs" / registry.get(TENANTS).active.ref.digest
        for name, data in {**contents(source), "more.py": b"print()"}.items():
            with staging.begin(name) as file:
                staging.write(file, data)
        digest, sizes = staging.digest, {p.name: p.stat().st_size for p in staging.path.iterdir()}
        with tarfile.open(archive) as opened:
            told = opened.extractfile("manifest.json")
            assert told is not None
            manifest = read_manifest(told.read())
        entry, blob = manifest.tasks[-1], manifest.blobs[-1]
        (version,) = entry.task.versions
        version = replace(version, ref=replace(version.ref, digest=digest))
        entry = replace(entry, task=replace(entry.task, versions=(version,)))
        forged = Manifest((entry,), (replace(blob, digest=digest, files=sizes),))
        with archive.open("wb") as file:
            writer = Writer(file, forged)
            assert writer.add(forged.blobs[0], staging.path)
            writer.finish()
    imported = read(new, archive)
    assert results(imported) == {"acme/c": "refused"}
    assert "no delta's" in imported.tasks[0].reason
    assert blobs(new) == {}


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


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
