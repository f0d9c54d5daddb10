"""Archives that somebody else wrote: no member and no manifest does more than be refused."""

import io
import json
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deltas.base import BaseSpec
from server.errors import InvalidArchive
from server.registry.registry import Registry
from server.registry.store import Store
from server.registry.upkeep.archive import Writer
from server.registry.upkeep.manifest import Manifest, read_manifest
from tests.server.registry.upkeep.archives import TENANTS, blobs, read, results

Edit = Callable[[dict[str, Any]], object]


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made / "store", tmp_path / "store")


@pytest.fixture
def registry(root: Path, base: BaseSpec) -> Iterator[Registry]:
    """A server's, of the store."""
    with closing(Registry(Store(root), base)) as registry:
        yield registry


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
