"""The registry: which task is served by which version of its delta."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import torch

from deltas import formats
from deltas.base import BaseSpec
from deltas.delta import Delta, DeltaRef
from deltas.errors import DeltaError
from server.errors import Conflict, DeltaUnavailable, PreconditionFailed
from server.registry.keyed_lock import KeyedLock
from server.registry.lease import Lease
from server.registry.names import check_name, not_found
from server.registry.registration import Registration
from server.registry.store import Staged, Store
from server.registry.version import BASE_NAME, Version


@dataclass
class _Task:
    active: Version
    requests: int = 0


def _ignore(*_: object) -> None:
    pass


class Registry:
    """Maps names to versions and pins them; thread-safe and blocking.

    `on_checked` gets a version's delta just before it becomes active, `on_forgotten` is called once
    nothing needs a version any more, both on whichever thread; the same delta may have been put
    again by then. The bare base is a task named `base`.
    """

    def __init__(self, store: Store, base: BaseSpec, dtype: torch.dtype = torch.float32) -> None:
        self.on_checked: Callable[[DeltaRef, Delta], None] = _ignore
        self.on_forgotten: Callable[[DeltaRef], None] = _ignore
        self._store = store
        self._base = base
        self._dtype = dtype
        self._writing = KeyedLock()
        self._lock = Lock()
        bare = Version.bare(base.family.causal)
        self._tasks = {BASE_NAME: _Task(bare)}
        self._versions: dict[str, dict[DeltaRef, Version]] = {BASE_NAME: {bare.ref: bare}}
        self._leases: dict[DeltaRef, set[Lease]] = {}

    @property
    def scratch(self) -> Path:
        """A directory that is there for as long as this server."""
        return self._store.scratch

    def put(
        self,
        name: str,
        directory: Path,
        *,
        if_match: str | None = None,
        if_none_match: bool = False,
    ) -> tuple[Registration, bool]:
        """Check a delta fully, then make it the active version; True if that changed anything.

        Returns the task as it is at that moment: puts and removals of one name run one after
        another. Raises DeltaError or InvalidRequest with the
        reason, PreconditionFailed if the active version is not `if_match` (a version, a digest
        or `*`), Conflict if `if_none_match` and the name holds another delta,
        InsufficientStorage if the store is full; nothing has changed then.
        """
        check_name(name)
        with self._writing.hold(name):
            current = self._active(name)
            _check_match(current, if_match)
            with self._store.stage(directory, formats.files_of(directory)) as staged:
                if current is not None and current.ref.digest == staged.digest:
                    return self.get(name), False
                if current is not None and if_none_match:
                    raise Conflict(f"The task '{name}' holds another delta already.", param="task")
                version, delta = self._check(name, staged)
                self._store.keep(staged)
            self.on_checked(version.ref, delta)
            self._activate(version)
            return self.get(name), True

    def remove(self, name: str) -> None:
        """Forget a task; requests under way keep their version. Raises TaskNotFound."""
        check_name(name)
        with self._writing.hold(name):
            with self._lock:
                task = self._tasks.pop(name, None)
            if task is None:
                raise not_found(name, self._names())
            self._forget_unused(task.active.ref)

    def lease(self, name: str) -> Lease:
        """Look a task up and pin its active version, in one step.

        Raises TaskNotFound naming close matches.
        """
        return self.leases(name, 1)[0]

    def leases(self, name: str, count: int) -> list[Lease]:
        """Pin the active version for `count` requests that one version must answer."""
        with self._lock:
            task = self._tasks.get(name)
            if task is not None:
                task.requests += count
                leases = [Lease(name, task.active, self._release) for _ in range(count)]
                self._leases.setdefault(task.active.ref, set()).update(leases)
                return leases
        raise not_found(name, self._names())

    def load(self, ref: DeltaRef) -> Delta:
        """Read a version's tensors from the store; raises DeltaUnavailable if that fails."""
        try:
            return formats.load(self._store.path(ref.digest), self._base, self._dtype)
        except (OSError, DeltaError) as error:
            raise DeltaUnavailable(
                f"The delta of task '{ref.task}' could not be read from the store."
            ) from error

    def get(self, name: str) -> Registration:
        """Describe one task; raises TaskNotFound naming close matches."""
        with self._lock:
            if name in self._tasks:
                return self._registration(name)
        raise not_found(name, self._names())

    def all(self) -> list[Registration]:
        """Describe every task but the bare base, by name."""
        with self._lock:
            return [self._registration(name) for name in sorted(self._tasks) if name != BASE_NAME]

    def close(self) -> None:
        """Remove the server's copies; the registry is not used afterwards."""
        self._store.close()

    def _check(self, name: str, staged: Staged) -> tuple[Version, Delta]:
        delta = formats.load(staged.path, self._base, self._dtype)
        return Version.of(DeltaRef(name, staged.digest), delta, time.time()), delta

    def _active(self, name: str) -> Version | None:
        with self._lock:
            task = self._tasks.get(name)
            return task.active if task else None

    def _activate(self, version: Version) -> None:
        name = version.ref.task
        with self._lock:
            old = self._tasks.get(name)
            self._tasks[name] = _Task(version, old.requests if old else 0)
            versions = self._versions.setdefault(name, {})
            returned = version.ref in versions
            versions[version.ref] = version
        if returned:
            # Requests under way had kept it: its first hold on the files suffices.
            self._store.drop(version.ref.digest)
        if old:
            self._forget_unused(old.active.ref)

    def _release(self, lease: Lease) -> None:
        ref = lease.version.ref
        with self._lock:
            self._leases.get(ref, set()).discard(lease)
        self._forget_unused(ref)

    def _forget_unused(self, ref: DeltaRef) -> None:
        with self._lock:
            task = self._tasks.get(ref.task)
            active = task is not None and task.active.ref == ref
            versions = self._versions.get(ref.task, {})
            if active or self._leases.get(ref) or ref not in versions:
                return
            del versions[ref]
            if not versions:
                del self._versions[ref.task]
            self._leases.pop(ref, None)
        self._store.drop(ref.digest)
        self.on_forgotten(ref)

    def _names(self) -> list[str]:
        with self._lock:
            return list(self._tasks)

    def _registration(self, name: str) -> Registration:
        task = self._tasks[name]
        versions = self._versions[name].values()
        others = (version for version in versions if version.ref != task.active.ref)
        return Registration(name, task.active, task.requests, (task.active, *others))


def _check_match(current: Version | None, if_match: str | None) -> None:
    if if_match is None:
        return
    known = ("*", current.ref.version, current.ref.digest) if current else ()
    if if_match.strip('"') not in known:
        now = f"at version {current.ref.version}" if current else "not there"
        raise PreconditionFailed(f"The task is {now}, not at the version given.", param="task")
