"""The registry: which task is served by which version of its delta."""

import time
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import torch

from deltas import formats
from deltas.base import BaseSpec
from deltas.delta import Delta, DeltaRef
from deltas.errors import PolydeltaError
from deltas.folder import Folder, opened
from deltas.strict_json import Json
from server.errors import Conflict, RequestError
from server.registry.audit import NO_KEYS, SERVER, Act, Entry
from server.registry.blobs import Blobs
from server.registry.catalogue.catalogue import Catalogue
from server.registry.catalogue.database import Database
from server.registry.catalogue.keys import Keys
from server.registry.catalogue.mend import sound
from server.registry.catalogue.tenants import Tenants
from server.registry.checker import Checker
from server.registry.condition import Condition, check_condition
from server.registry.keeper import Keeper
from server.registry.keyed_lock import KeyedLock
from server.registry.keys import KeyRing
from server.registry.layout import DATABASE
from server.registry.lease import Lease
from server.registry.names import SHARED, TaskName, check_alias, check_name, is_plain
from server.registry.registration import Registration
from server.registry.requirement import Requirement
from server.registry.retention import Retention
from server.registry.sharing import traffic_of
from server.registry.signatures import Signatures
from server.registry.staging import Staging
from server.registry.stats import RegistryStats
from server.registry.store import Store
from server.registry.supply.supply import Supply
from server.registry.tally import Tally, change
from server.registry.task import Task
from server.registry.tenant import Tenant
from server.registry.traffic import Bound
from server.registry.version import BASE_NAME, Version
from server.registry.which import check_apart, split, version_of

_TOLD = 500
"""Characters of shares that the audit log tells."""


def _ignore(*_: object) -> None:
    pass


class Registry:
    """Maps names to versions and pins them; thread-safe and blocking.

    Everything that is put lasts: files in the store, the rest in the database, by default a file in
    the store. `on_checked` gets a version's delta just before it
    becomes active, `on_forgotten` is called once nothing needs a version any more, both on
    whichever thread; the same delta may have been put again by then. `vet` is asked of a delta that
    is put, and raises DeltaError where it finds more that is wrong. The bare base is a task named
    `base`. Where keys are required, nobody is served without one, even while there is none. With
    `signatures` no delta is put or loaded that these do not hold for.
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
        self._base = base
        self._supply = supply
        self._signatures = signatures
        self._blobs = Blobs(store, base, dtype, supply, signatures)
        self._checker = Checker(store, base, dtype, vet)
        database = database or sound(store.root / DATABASE)
        self._catalogue = Catalogue(database, base.fingerprint, max_tasks)
        self._keys = Keys(database)
        self._requirement = Requirement(store.root, always=require_keys)
        self._tenants = Tenants(database)
        self._limits: Mapping[str, Tenant] = {}
        self.keys = KeyRing(required=True)
        """The keys that requests need, if there are any."""
        bare = Version.bare(base.family.causal)
        self._keeper = Keeper(
            store, self._catalogue, retention or Retention(), bare, self.tally, supply
        )
        self._keeper.on_forgotten = lambda ref: self.on_forgotten(ref)
        self._rollout = self._keeper.rollout
        self._keeper.on_changes = self._read_access
        self._writing = KeyedLock()
        self._keeper.start()
        self._read_access()

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
        self,
        name: TaskName,
        directory: Path | Folder,
        *,
        source: str = "",
        activate: bool | None = None,
        if_match: Condition = None,
        if_none_match: bool = False,
    ) -> tuple[Registration, bool]:
        """Copy a delta's files and put them; see `put_staged`."""
        check_name(name)
        folder = opened(directory)
        with self.stage() as staging:
            staging.copy(folder, formats.files_of(folder, judged=True))
            return self.put_staged(
                name,
                staging,
                source=source,
                activate=activate,
                if_match=if_match,
                if_none_match=if_none_match,
            )

    @change("put")
    def put_staged(
        self,
        name: TaskName,
        staging: Staging,
        *,
        source: str = "",
        by: str = SERVER,
        lifetime: float | None = None,
        activate: bool | None = None,
        if_match: Condition = None,
        if_none_match: bool = False,
    ) -> tuple[Registration, bool]:
        """Check a delta fully, then make it the active version; True if that changed anything.

        A task that answers keeps its active version if `activate` is False, or while versions share
        its traffic and nothing is said of it.

        Returns the task as it is at that moment: puts and removals of one name run one after
        another. `source` says where the files came from, `by` who put them; after `lifetime`
        seconds the task is removed. Raises DeltaError, UnsignedDelta or InvalidRequest with the
        reason, PreconditionFailed if the active version is none of `if_match` (versions, digests,
        or `*` for any), Conflict if `if_none_match` and the name holds another delta,
        InsufficientStorage if the store or the number of tasks is at its limit, InsufficientMemory
        if there is too little for the delta; nothing has changed then.
        """
        check_name(name)
        formats.judge(staging.path, self._base)
        staging.drop_others(formats.files_of(staging.path))
        if self._signatures is not None:
            self._signatures.check(staging.path)
        ref = DeltaRef(str(name), staging.digest)

        def check(task: Task) -> Version | None:
            check_condition(task, if_match)
            current = (task.whole() if if_none_match else task).answering
            if if_none_match and current and current.ref != ref:
                raise Conflict(f"The task '{name.name}' holds another delta already.", param="task")
            return current

        def commit(version: Version) -> Task:
            now = time.time()
            expires = None if lifetime is None else now + lifetime

            def put(task: Task) -> Task:
                # Another server may have been faster.
                check(task)
                key = "" if by in NO_KEYS else by
                return task.put(replace(version, source=source, by=key), now, expires, activate)

            act = Act("put", by, ref.version, lambda task: task.number_of(ref.digest))
            return self._keeper.change(name, act, put)

        with self._store.gate.passed(), self._writing.hold(name):
            current = check(self._catalogue.task(name))
            if current is not None and current.ref == ref:
                # Its files may be gone or damaged.
                with self._store.keeping(staging, ref.digest):
                    self._blobs.share(ref.digest)
                    return self._rollout.show(commit(current)), False
            if current is None:
                self._catalogue.check_place(name)
            with self._kept(ref, staging) as version:
                return self._rollout.show(commit(version)), True

    @change("remove")
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
        check_name(name)

        def removed(task: Task) -> Task:
            there = task.versions or task.damaged if forever else task.whole().answering
            if not there:
                raise self._rollout.not_found(name)
            check_condition(task, if_match)
            return Task(name) if forever else task.removed(time.time())

        with self._store.gate.passed(), self._writing.hold(name):
            about = "forever" if forever else ""
            self._keeper.change(name, Act("remove", by, about), removed)

    def versions(self, name: TaskName) -> Task:
        """A task with all its versions, be it removed; raises TaskNotFound."""
        check_name(name)
        return self._there(self._catalogue.task(name))

    @change("activate")
    def activate(
        self, name: TaskName, which: str | int, *, by: str = SERVER, if_match: Condition = None
    ) -> Registration:
        """Have an earlier version answer again, or the task if it was removed.

        `which` is as in `version_of`. Raises what that raises, PreconditionFailed,
        DeltaUnavailable if the version's files are damaged, UnsignedDelta.
        """
        check_name(name)

        with self._store.gate.passed(), self._writing.hold(name):
            task = self._catalogue.task(name)
            # What is sound of a damaged task can be activated.
            ref = version_of(task if task.versions else self._there(task), which).ref
            self._blobs.check(ref)

            def activated(task: Task) -> Task:
                check_condition(task, if_match)
                # An alias may name another by now, whose files nobody has looked at.
                return task.activated(version_of(task, ref.digest).number, time.time())

            act = Act("activate", by, ref.version, lambda task: task.active)
            task = self._keeper.change(name, act, activated)
            return self._rollout.show(task)

    @change("alias")
    def alias(
        self,
        name: TaskName,
        alias: str,
        which: str | int | None,
        *,
        by: str = SERVER,
        if_match: Condition = None,
    ) -> Task:
        """Give a free name to a version of a task, or take it away; a version with one is kept.

        Raises TaskNotFound, InvalidRequest for a name that would not do, PreconditionFailed.
        """
        check_name(name)
        check_alias(alias)

        def aliased(task: Task) -> Task:
            check_condition(self._there(task), if_match)
            if which is None:
                return task.aliased(alias, None)
            version = version_of(task, which)
            check_apart(task, alias, version)
            return task.aliased(alias, version.number)

        about = f"{alias} taken away" if which is None else alias
        act = Act("alias", by, about, lambda task: task.aliases.get(alias))
        with self._store.gate.passed(), self._writing.hold(name):
            return self._keeper.change(name, act, aliased)

    @change("share")
    def share(
        self,
        name: TaskName,
        shares: Mapping[str, int],
        shadow: str | int | None = None,
        bound: Bound | None = None,
        *,
        by: str = SERVER,
        if_match: Condition = None,
    ) -> Task:
        """Have versions share a task's requests, and one perhaps answer all of them unseen.

        Versions are named as for `activate`. Raises TaskNotFound, InvalidRequest,
        PreconditionFailed.
        """
        check_name(name)

        def shared(task: Task) -> Task:
            check_condition(self._there(task), if_match)
            return task.shared(traffic_of(task, shares, shadow, bound))

        about = ", ".join(f"{which}: {share}" for which, share in shares.items())[:_TOLD]

        with self._store.gate.passed(), self._writing.hold(name):
            return self._keeper.change(name, Act("share", by, about), shared)

    @change("unshare")
    def unshare(self, name: TaskName, *, by: str = SERVER, if_match: Condition = None) -> Task:
        """Have a task's active version answer alone; raises as `share` does."""
        check_name(name)

        def alone(task: Task) -> Task:
            check_condition(self._there(task), if_match)
            return task.shared(None)

        with self._store.gate.passed(), self._writing.hold(name):
            return self._keeper.change(name, Act("unshare", by), alone)

    @change("step_back")
    def step_back(self, name: TaskName, number: int, reason: str) -> bool:
        """Take its share of a task's requests from a version; False if it has none any more."""
        done = False

        def stepped_back(task: Task) -> Task:
            nonlocal done
            after = task.stepped_back(number, reason, time.time())
            done = after != task
            return after

        with self._store.gate.passed(), self._writing.hold(name):
            act = Act("step_back", about=reason, version=lambda _: number)
            self._keeper.change(name, act, stepped_back)
        return done

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

    def tenant(self, name: str) -> Tenant:
        """What a tenant may use; nothing waits for this."""
        return self._limits.get(name) or Tenant(name)

    def audit(
        self,
        limit: int,
        before: int | None = None,
        *,
        tenant: str = SHARED,
        task: str | None = None,
    ) -> list[Entry]:
        """What was done of late, the newest first: to a tenant's tasks, for the shared one to all.

        `before` is the number of an entry, and `task` what the tenant calls one.
        """
        named = None if task is None else TaskName(tenant, task)
        only = None if tenant == SHARED else tenant
        audit = self._catalogue.audit
        return audit.entries(limit, before=before, tenant=only, task=named)

    def refused(self, kind: str, name: TaskName, by: str, code: str) -> None:
        """Note in the audit log that a change was refused to somebody else than a server."""
        if by == SERVER or not is_plain(name.name):
            return
        # What is to be told is why it was refused, and not that this cannot be noted.
        with suppress(PolydeltaError):
            self._catalogue.audit.refused(name, kind, by, code)

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

    @contextmanager
    def _kept(self, ref: DeltaRef, staging: Staging) -> Generator[Version]:
        """Check what is staged and keep it in the store while it is being registered."""
        outline = self._checker.outline(staging)
        try:
            with self._store.keeping(staging, ref.digest):
                version = self._checker.read(ref, outline.bytes, self.on_checked)
                self._blobs.share(ref.digest)
                yield version
        except BaseException:
            self._rollout.drop(ref)
            raise

    def _read_access(self) -> None:
        ring = self._keys.ring()
        ring.required = self._requirement.holds(ring)
        self.keys = ring
        self._limits = {tenant.name: tenant for tenant in self._tenants.all()}

    def _there(self, task: Task) -> Task:
        if not task.whole().versions:
            raise self._rollout.not_found(task.name)
        return task
