"""Importing: tasks of an archive into a store, beside running servers or before the first one."""

from collections import defaultdict
from collections.abc import Iterable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from dataclasses import replace as changed
from pathlib import Path
from typing import TYPE_CHECKING

from deltas import formats
from deltas.errors import InvalidDelta, PolydeltaError
from server.errors import Conflict, InvalidArchive, InvalidSettings, RegistryUnavailable
from server.registry.audit import OPERATOR, Act
from server.registry.catalogue.catalogue import Catalogue, Key
from server.registry.catalogue.faults import faults
from server.registry.catalogue.opening import require_named
from server.registry.layout import BLOBS, DATABASE
from server.registry.requirement import Requirement
from server.registry.staging import Staging
from server.registry.store import Store
from server.registry.task import Task, digests_of
from server.registry.upkeep.access import Access, take_keys, take_tenants
from server.registry.upkeep.archive import Reader, reading
from server.registry.upkeep.check import Begin
from server.registry.upkeep.manifest import Blob
from server.registry.upkeep.opening import opened

if TYPE_CHECKING:
    # Only who has one waits for its library to be loaded.
    from server.registry.supply.bucket import Bucket


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a task: `imported`, `replaced`, `unchanged`, or `refused` for a reason.

    One that is `restored` was the same, without some of its files.
    """

    task: str
    result: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of each task, in the archive's order, and what is wrong with the archive.

    `access` tells of keys and tenants.
    """

    tasks: tuple[Outcome, ...]
    fault: str = ""
    access: tuple[Access, ...] = ()

    @property
    def refused(self) -> bool:
        """Whether anything of the archive was left out."""
        return bool(self.fault) or any(
            each.result == "refused" for each in (*self.tasks, *self.access)
        )


def import_archive(
    root: Path,
    path: Path,
    begin: Begin,
    *,
    quota: int,
    replace: bool = False,
    access: bool = True,
    url: str | None = None,
    bucket: "Bucket | None" = None,
) -> Imported:
    """Register each task of an archive whose files all come whole; the others are left out.

    All blobs of the store take at most `quota` bytes. A task that is there and differs is refused,
    unless it is to be replaced; so are keys and limits, which come too with `access`. With a URL
    the registry is there, in PostgreSQL, and what comes is put into the servers' `bucket`, too.
    Raises InvalidArchive where the manifest is not sound,
    InvalidSettings where the archive or the store cannot be used, or the store is of another
    registry, RegistryUnavailable.
    """
    with reading(path) as reader:
        require_named(url, root)
        if url is None:
            _require_sound(root)
        with opened(root, url) as database, closing(Store(root, quota)) as store:
            database.claim()
            keys, tenants = (reader.manifest.keys, reader.manifest.tenants) if access else ((), ())
            # Nobody sees tasks without a key meanwhile, and none is refused for limits set later.
            taken = take_keys(database, keys, replace=replace)
            if url is None and keys:
                Requirement(root).remember()
            catalogue = Catalogue(database, "")
            imported = _Import(reader, store, catalogue, replace, bucket).run(begin)
            taken += take_tenants(database, tenants, replace=replace)
            return changed(imported, access=tuple(taken))


def _require_sound(root: Path) -> None:
    database, blobs = root / DATABASE, root / BLOBS
    if not database.exists() and blobs.is_dir() and any(blobs.iterdir()):
        raise InvalidSettings(
            f"{root} has {BLOBS} and no {DATABASE}: its tasks are in another registry, or lost. "
            "Name another --store, or restore a back-up."
        )
    if database.exists() and faults(database):
        raise RegistryUnavailable(
            "The registry's database is damaged: polydelta store check says what to do."
        )


class _Import:
    """Takes blobs as they come, and holds each in its place until all tasks that need it are there.

    What is `waiting` is a task some of whose blobs, by `missing`, are still to come.
    """

    def __init__(
        self,
        reader: Reader,
        store: Store,
        catalogue: Catalogue,
        replace: bool,
        bucket: "Bucket | None",
    ) -> None:
        self._reader = reader
        self._store = store
        self._catalogue = catalogue
        self._replace = replace
        self._bucket = bucket
        self._outcomes: dict[Key, Outcome] = {}
        self._waiting: dict[Key, Task] = {}
        self._missing: dict[Key, set[str]] = {}
        self._users: defaultdict[str, set[Key]] = defaultdict(set)
        self._held: dict[str, ExitStack] = {}
        self._faults: dict[str, str] = {}
        self._unneeded: set[str] = set()

    def run(self, begin: Begin) -> Imported:
        """Read everything to the end, and tell of each task."""
        keys = [(entry.base, entry.task.name) for entry in self._reader.manifest.tasks]
        for key, entry in zip(keys, self._reader.manifest.tasks, strict=True):
            self._look_at(key, entry.task)
        fault = ""
        try:
            self._read(begin)
        except InvalidArchive as error:
            fault = str(error)
            for key in self._waiting:
                self._tell(key, "refused", "Not all of its files came.")
        finally:
            for held in self._held.values():
                held.close()
            # What a replaced task had, and what came for one that was refused after all.
            self._store.sweep(self._unneeded, self._catalogue.needed)
        return Imported(tuple(self._outcomes[key] for key in keys), fault)

    def _look_at(self, key: Key, task: Task) -> None:
        """Refuse a task, or have it wait; nothing is to be done where it is there."""
        base, name = key
        known = self._catalogue.of(base).task(name)
        digests = digests_of(task)
        if known == task and all(map(self._store.has, digests)):
            self._tell(key, "unchanged", self._confirmed(digests))
            return
        try:
            self._next(task, known)
        except Conflict as error:
            self._tell(key, "refused", str(error))
            return
        self._waiting[key] = task
        self._missing[key] = digests
        for digest in digests:
            self._users[digest].add(key)

    def _next(self, task: Task, known: Task) -> Task:
        if not self._replace and _is_there(known) and known != task:
            raise Conflict("There is another task of this name; --replace puts this in its place.")
        return task

    def _read(self, begin: Begin) -> None:
        advance = begin(len(self._reader.manifest.blobs))
        for blob in self._reader.manifest.blobs:
            users = list(self._users.get(blob.digest, ()))
            if users:
                self._take(blob)
            else:
                self._pass_over(blob, sorted(blob.files))
            for key in users:
                self._missing[key].remove(blob.digest)
                if not self._missing[key]:
                    self._register(key)
            advance()
        self._reader.finish()

    def _take(self, blob: Blob) -> None:
        """Put a blob in its place and hold it there, or say why that cannot be."""
        self._unneeded.add(blob.digest)
        names = iter(sorted(blob.files))
        held = ExitStack()
        try:
            with self._store.stage() as staging:
                for name in names:
                    self._reader.begin(blob, name)
                    self._copy(staging, name)
                _check(staging, blob)
                held.enter_context(self._store.keeping(staging, blob.digest))
            if self._bucket is not None:
                self._bucket.put(blob.digest, self._store.path(blob.digest))
        except InvalidArchive:
            raise
        except PolydeltaError as error:
            self._faults[blob.digest] = str(error)
            self._pass_over(blob, names)
        self._held[blob.digest] = held

    def _copy(self, staging: Staging, name: str) -> None:
        with staging.begin(name) as file:
            while data := self._reader.read():
                staging.write(file, data)
            staging.end(file)

    def _pass_over(self, blob: Blob, names: Iterable[str]) -> None:
        for name in names:
            self._reader.begin(blob, name)

    def _register(self, key: Key) -> None:
        """Make a task all of whose blobs came what it is in the archive, in one step."""
        base, name = key
        task = self._waiting.pop(key)
        digests = digests_of(task)
        before = Task(name)

        def edit(known: Task) -> Task:
            nonlocal before
            before = known
            return self._next(task, known)

        try:
            for digest in digests & self._faults.keys():
                raise InvalidDelta(self._faults[digest])
            change = self._catalogue.of(base).change(name, Act("import", OPERATOR), edit)
            self._unneeded |= change.lost
            there = "restored" if before == task else "replaced"
            result = there if _is_there(before) else "imported"
            self._tell(key, result, self._confirmed(digests))
        except PolydeltaError as error:
            self._tell(key, "refused", str(error))
        for digest in digests:
            self._users[digest].remove(key)
            if not self._users[digest]:
                self._held.pop(digest).close()

    def _confirmed(self, digests: Iterable[str]) -> str:
        """See that blobs are in the bucket, now that the registry names them; else say why not."""
        if self._bucket is None:
            return ""
        try:
            for digest in digests:
                self._bucket.confirm(digest, self._store.path(digest))
        except PolydeltaError:
            return f"It may be missing in {self._bucket.name}; import it again."
        return ""

    def _tell(self, key: Key, result: str, reason: str = "") -> None:
        self._outcomes[key] = Outcome(str(key[1]), result, reason)


def _is_there(task: Task) -> bool:
    return bool(task.versions) or task.damaged


def _check(staging: Staging, blob: Blob) -> None:
    if staging.digest != blob.digest:
        raise InvalidDelta("Its files are not those that it was exported with.")
    if formats.files_of(staging.path) != staging.names:
        raise InvalidDelta("It has files that are no delta's.")
