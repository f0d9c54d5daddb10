"""Exporting: a store's tasks with all their files into one archive, beside running servers."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from server.errors import DeltaUnavailable, InvalidSettings, TaskNotFound
from server.registry.layout import BLOBS
from server.registry.names import TaskName
from server.registry.upkeep.archive import Writer, writing
from server.registry.upkeep.check import Begin
from server.registry.upkeep.contents import Contents
from server.registry.upkeep.manifest import Blob, Entry, Manifest, ordered
from server.registry.upkeep.snapshot import snapshot


@dataclass(frozen=True, slots=True)
class Exported:
    """What is in an archive, and what is damaged and is not."""

    tasks: int
    versions: int
    blobs: int
    bytes: int
    keys: int
    tenants: int
    left_out: tuple[str, ...]


def export(
    root: Path, target: Path, names: Collection[str], begin: Begin, *, url: str | None = None
) -> Exported:
    """Write all tasks of a store with its keys and limits, or the tasks of some names alone.

    All is as it was at one moment. Of a tenant's task the name is `TENANT/NAME`. With a URL the
    registry is there, in PostgreSQL. Raises InvalidSettings where there is no store, it is of
    another registry, or the file cannot be written, TaskNotFound, DeltaUnavailable where files of a
    version are not sound, RegistryUnavailable where the database is not; nothing is written then.
    """
    if not (root / BLOBS).is_dir():
        raise InvalidSettings(f"{root} is no store: it has no {BLOBS}. Name another (--store).")
    with snapshot(root, url) as connection:
        contents = Contents.of(connection)
    entries = _chosen(contents, names)
    tasks = [entry.task for entry in entries]
    users = {v.ref.digest: f"{t.name}@{v.number}" for t in tasks for v in t.versions}
    blobs = tuple(_blob(root, digest, users) for digest in ordered(tasks))
    # Whoever is given some tasks gets nobody's keys.
    keys, tenants = ((), ()) if names else (contents.keys, contents.tenants)
    manifest = Manifest(entries, blobs, keys, tenants)
    advance = begin(len(blobs))
    with writing(target) as file:
        archive = Writer(file, manifest)
        for blob in blobs:
            try:
                whole = archive.add(blob, root / BLOBS / blob.digest)
            except (FileNotFoundError, IsADirectoryError):
                whole = False
            if not whole:
                raise _unsound(users[blob.digest])
            advance()
        archive.finish()
    left_out = contents.damaged + contents.damaged_versions
    access = (
        *(f"key {name}" for name in contents.damaged_keys),
        *(f"tenant {name}" for name in contents.damaged_tenants),
    )
    return Exported(
        tasks=len(tasks),
        versions=sum(len(task.versions) for task in tasks),
        blobs=len(blobs),
        bytes=target.stat().st_size,
        keys=len(keys),
        tenants=len(tenants),
        left_out=tuple(each for each in left_out if each.split("@")[0] in names)
        if names
        else (*left_out, *access),
    )


def _chosen(contents: Contents, names: Collection[str]) -> tuple[Entry, ...]:
    entries = tuple(
        Entry(base, task) for base, tasks in sorted(contents.tasks.items()) for task in tasks
    )
    there = {entry.task.name for entry in entries}
    for name in names:
        if TaskName.of(name) in there:
            continue
        if name in contents.damaged:
            raise TaskNotFound(f"The task '{name}' is damaged: polydelta store check tells more.")
        raise TaskNotFound(f"There is no task '{name}' in the store.", param="task")
    wanted = {TaskName.of(name) for name in names} or there
    return tuple(entry for entry in entries if entry.task.name in wanted)


def _blob(root: Path, digest: str, users: Mapping[str, str]) -> Blob:
    try:
        files = sorted((root / BLOBS / digest).iterdir())
        return Blob(digest, {path.name: path.stat().st_size for path in files})
    except FileNotFoundError:
        raise _unsound(users[digest]) from None


def _unsound(version: str) -> DeltaUnavailable:
    return DeltaUnavailable(
        f"The files of {version} are damaged or gone. If a server removed it meanwhile, export "
        "again; else polydelta store check tells what to do."
    )
