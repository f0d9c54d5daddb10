"""The registry: which task is served by which version of its delta."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Unpack

import torch

from deltas import formats
from deltas.base import BaseSpec
from deltas.delta import Delta, DeltaRef
from deltas.folder import Folder, opened
from deltas.strict_json import Json
from server.errors import RequestError
from server.registry.access import Access
from server.registry.audit import SERVER, Act
from server.registry.blobs import Blobs
from server.registry.catalogue.catalogue import Catalogue
from server.registry.catalogue.claim import ClaimedDatabase
from server.registry.catalogue.database import Database
from server.registry.catalogue.mend import sound
from server.registry.changes import Changes
from server.registry.checker import Checker
from server.registry.condition import Condition, check_condition
from server.registry.keeper import Keeper
from server.registry.layout import DATABASE
from server.registry.lease import Lease
from server.registry.names import SHARED, TaskName, check_name, is_plain
from server.registry.put import Terms
from server.registry.puts import Puts
from server.registry.registration import Registration
from server.registry.retention import Retention
from server.registry.sharing import Sharing
from server.registry.signatures import Signatures
from server.registry.staging import Staging
from server.registry.stats import RegistryStats
from server.registry.store import Store
from server.registry.supply.supply import Supply
from server.registry.tally import Tally
from server.registry.task import Task
from server.registry.version import BASE_NAME, Version
from server.registry.versions import Versions
from server.registry.which import split


def _ignore(*_: object) -> None:
    pass


class Registry:
    """Maps names to versions and pins them; thread-safe and blocking.

    Everything that is put lasts: files in the store, the rest in the database, by default a file in
    the store. `on_checked` gets a version's delta just before it becomes active, `on_forgotten` is
    called once nothing needs a version any more, both on whichever thread; the same delta may have
    been put again by then. `vet` is asked of a delta that is put, and raises DeltaError where it
    finds more that is wrong. The bare base is a task named `base`. With `signatures` no delta is
    put or loaded that these do not hold for.
    """

    def __init__(
        self,
        store: Store,
        base: BaseSpec,
        dtype: torch.dtype = torch.float32,
        max_tasks: int = 10_000,
        vet: Callable[[Delta], None] = _ignore,
        retention: Retention | None = None,
        database: Database | None = None,
        supply: Supply | None = None,
        signatures: Signatures | None = None,
        *,
        require_keys: bool = False,
    ) -> None:
        self.on_checked: Callable[[DeltaRef, Delta], None] = _ignore
        self.on_forgotten: Callable[[DeltaRef], None] = _ignore
        self.tally = Tally()
        self._store = store
        self._supply = supply
        self._blobs = Blobs(store, base, dtype, supply, signatures)
        database = ClaimedDatabase(database or sound(store.root / DATABASE), store.root)
        self._catalogue = Catalogue(database, base.fingerprint, max_tasks)
        self.audit = self._catalogue.audit
        self.access = Access(database, store.root, require_keys=require_keys)
        bare = Version.bare(base.family.causal, base.embedding_width)
        self._keeper = Keeper(
            store,
            self._catalogue,
            database.claim,
            retention or Retention(),
            bare,
            self.tally,
            supply,
        )
        self._keeper.on_forgotten = lambda ref: self.on_forgotten(ref)
        self._keeper.on_access = self.access.read
        self._rollout = self._keeper.rollout
        changes = self._changes = Changes(store.gate, self._keeper, self.audit, self.tally)
        self.versions = Versions(self._catalogue, self._keeper, changes, self._blobs)
        self.sharing = Sharing(changes, self._rollout)
        checker = Checker(store, base, dtype, vet)
        self._puts = Puts(
            base, store, self._catalogue, self._keeper, changes, self._blobs, checker, signatures
        )
        self._puts.on_checked = lambda ref, delta: self.on_checked(ref, delta)
        try:
            self._keeper.start()
            self.access.read()
        except BaseException:
            self.close()
            raise

    @property
    def scratch(self) -> Path:
        """A directory that is there for as long as this server."""
        return self._store.scratch

    def follow(self) -> None:
        """From now on take over what other servers change, and remove what has had its time.

        Servers elsewhere may ask for files from now on.
        """
        self._keeper.follow()
        if self._supply is not None:
            self._supply.start()

    def look(self) -> None:
        """Take over now what other servers changed."""
        self._keeper.look()

    def seek(self, asked: TaskName) -> bool:
        """Take over now what other servers made of one task; whether the name means anything then.

        Raises RegistryUnavailable.
        """
        name, _ = split(asked)
        if not is_plain(name.name) or name.name == BASE_NAME:
            return False
        for tenant in {name.tenant, SHARED}:
            self._keeper.take_over(TaskName(tenant, name.name))
        with suppress(RequestError):
            self._rollout.version(asked)
            return True
        return False

    def stage(self) -> AbstractContextManager[Staging]:
        """A place in the store for a delta's files, to be put; it is gone at the end."""
        return self._store.stage()

    def put(
        self, name: TaskName, directory: Path | Folder, **terms: Unpack[Terms]
    ) -> tuple[Registration, bool]:
        """Copy a delta's files and put them; see `put_staged`."""
        check_name(name)
        folder = opened(directory)
        with self.stage() as staging:
            staging.copy(folder, formats.files_of(folder, judged=True))
            return self.put_staged(name, staging, **terms)

    def put_staged(
        self, name: TaskName, staging: Staging, *, by: str = SERVER, **terms: Unpack[Terms]
    ) -> tuple[Registration, bool]:
        """Check a delta fully, then make it the active version; True if that changed anything.

        Returns the task as it is at that moment: puts and removals of one name run one after
        another. `Put` says what the terms mean. Raises DeltaError, UnsignedDelta or InvalidRequest
        with the reason, PreconditionFailed or Conflict by the terms, InsufficientStorage if the
        store or the number of tasks is at its limit, InsufficientMemory if there is too little for
        the delta; nothing has changed then.
        """
        return self._puts.make(name, staging, by=by, **terms)

    def remove(
        self,
        name: TaskName,
        *,
        by: str = SERVER,
        if_match: Condition = None,
        forever: bool = False,
    ) -> None:
        """Have a task answer no more; requests under way keep their version.

        `activate` brings it back for as long as the retention says, unless it is removed forever,
        as one can be that is removed already. Raises TaskNotFound, PreconditionFailed as
        `put_staged` does.
        """

        def removed(task: Task) -> Task:
            there = task.versions or task.damaged if forever else task.whole().answering
            if not there:
                raise self._rollout.not_found(name)
            check_condition(task, if_match)
            return Task(name) if forever else task.removed(time.time())

        about = "forever" if forever else ""
        self._changes.make(name, Act("remove", by, about), removed)

    def lease(self, name: TaskName) -> Lease:
        """Look up what a name means to its tenant and pin that version, in one step.

        A tenant's own task is meant before a shared one.

        Raises TaskNotFound naming close matches.
        """
        return self._rollout.lease(name)[0]

    def leases(self, name: TaskName, count: int, key: str = "") -> list[Lease]:
        """Pin a version for `count` requests that one version must answer.

        Of versions that share the requests, a key means the same one each time.
        """
        return self._rollout.lease(name, count, key)

    def lease_shadow(self, name: TaskName) -> Lease | None:
        """Pin the version that answers a task's requests unseen, if there is one."""
        return self._rollout.lease_shadow(name)

    def load(self, ref: DeltaRef) -> Delta:
        """Read a version's tensors; raises DeltaUnavailable if that fails."""
        return self._blobs.load(ref)

    def coming(self, ref: DeltaRef) -> "Future[None] | None":
        """What to wait for before a version is loaded: its files come from elsewhere."""
        return self._blobs.coming(ref)

    def file(self, digest: str, name: str) -> Path | None:
        """Where one file of a delta is, for another server to fetch."""
        return self._blobs.file(digest, name)

    def card(self, name: TaskName) -> dict[str, Json]:
        """What the version that answers says about how it came about; reads its files."""
        return self._blobs.card(self.get(name).version.ref)

    def version(self, name: TaskName) -> Version:
        """The version that would answer; raises TaskNotFound naming close matches."""
        return self._rollout.version(name)

    def get(self, name: TaskName) -> Registration:
        """Describe a task, or one of its versions; raises TaskNotFound naming close matches."""
        return self._rollout.get(name)

    def all(self, tenant: str = SHARED) -> list[Registration]:
        """Describe every task that a tenant sees but the bare base, by name."""
        return self._rollout.all(tenant)

    def able(self, does: Callable[[Version], bool], most: int, tenant: str = SHARED) -> list[str]:
        """What a tenant calls at most so many tasks that do something, the bare base first."""
        return self._rollout.able(does, most, tenant)

    def stats(self) -> RegistryStats:
        """What there is now, and how far behind other servers this one may be."""
        tasks, versions = self._rollout.counts()
        behind = self._keeper.behind
        return RegistryStats(tasks, versions, self._store.bytes, *behind)

    def settle(self) -> None:
        """Wait until what nothing needs any more is removed from the store."""
        self._keeper.settle()

    def close(self) -> None:
        """Wait for puts under way and end; nothing is put afterwards, and what was put lasts."""
        self._store.gate.close()
        if self._supply is not None:
            self._supply.close()
        self._keeper.close()
        self._catalogue.close()
        self._store.close()
