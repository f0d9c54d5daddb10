"""The registry: which task is served by which version of its delta."""

import logging
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from threading import Lock

import torch

from deltas import formats
from deltas.base import BaseSpec
from deltas.delta import Delta, DeltaRef
from deltas.errors import DeltaError
from deltas.folder import Folder, opened
from deltas.probe import warnings_of
from server.errors import (
    Conflict,
    DeltaUnavailable,
    InsufficientMemory,
    InsufficientStorage,
    PreconditionFailed,
)
from server.registry.keyed_lock import KeyedLock
from server.registry.lease import Lease
from server.registry.names import check_name, not_found
from server.registry.registration import Registration
from server.registry.staging import Staging
from server.registry.store import Store
from server.registry.version import BASE_NAME, Version
from server.system import heap
from server.system.memory import memory

_log = logging.getLogger(__name__)

_COPIES = 2
"""A delta as it is read, and as it is prepared for the device."""

_WORTH_GIVING_BACK = 16 << 20
"""Bytes of deltas."""


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
    again by then. `vet` is asked of a delta that is put, once it has been checked, and raises
    DeltaError where it finds more that is wrong. The bare base is a task named `base`.
    """

    def __init__(
        self,
        store: Store,
        base: BaseSpec,
        dtype: torch.dtype = torch.float32,
        max_tasks: int = 10_000,
        vet: Callable[[Delta], None] = _ignore,
    ) -> None:
        self.on_checked: Callable[[DeltaRef, Delta], None] = _ignore
        self.on_forgotten: Callable[[DeltaRef], None] = _ignore
        self._store = store
        self._base = base
        self._dtype = dtype
        self._max_tasks = max_tasks
        self._vet = vet
        self._writing = KeyedLock()
        self._reading = Lock()
        self._read_since = 0
        self._lock = Lock()
        bare = Version.bare(base.family.causal)
        self._tasks = {BASE_NAME: _Task(bare)}
        self._coming: set[str] = set()
        self._versions: dict[str, dict[DeltaRef, Version]] = {BASE_NAME: {bare.ref: bare}}
        self._leases: dict[DeltaRef, set[Lease]] = {}

    @property
    def scratch(self) -> Path:
        """A directory that is there for as long as this server."""
        return self._store.scratch

    def stage(self) -> AbstractContextManager[Staging]:
        """A place in the store for a delta's files, to be put; it is gone at the end."""
        return self._store.stage()

    def put(
        self,
        name: str,
        directory: Path | Folder,
        *,
        if_match: str | None = None,
        if_none_match: bool = False,
    ) -> tuple[Registration, bool]:
        """Copy a delta's files and put them; see `put_staged`."""
        check_name(name)
        folder = opened(directory)
        with self.stage() as staging:
            staging.copy(folder, formats.files_of(folder, judged=True))
            return self.put_staged(name, staging, if_match=if_match, if_none_match=if_none_match)

    def put_staged(
        self,
        name: str,
        staging: Staging,
        *,
        if_match: str | None = None,
        if_none_match: bool = False,
    ) -> tuple[Registration, bool]:
        """Check a delta fully, then make it the active version; True if that changed anything.

        Returns the task as it is at that moment: puts and removals of one name run one after
        another. Raises DeltaError or InvalidRequest with the
        reason, PreconditionFailed if the active version is not `if_match` (a version, a digest
        or `*`), Conflict if `if_none_match` and the name holds another delta,
        InsufficientStorage if the store or the number of tasks is at its limit, InsufficientMemory
        if there is too little for the delta; nothing has changed then.
        """
        check_name(name)
        formats.judge(staging.path, self._base)
        staging.drop_others(formats.files_of(staging.path))
        digest = staging.digest
        with self._store.gate.passed(), self._writing.hold(name):
            current = self._active(name)
            _check_match(current, if_match)
            if current is not None and current.ref.digest == digest:
                self._store.mend(staging, digest)
                return self.get(name), False
            if current is not None and if_none_match:
                raise Conflict(f"The task '{name}' holds another delta already.", param="task")
            with self._place(name):
                self._activate(self._check(DeltaRef(name, digest), staging))
            return self.get(name), True

    def remove(self, name: str) -> None:
        """Forget a task; requests under way keep their version. Raises TaskNotFound."""
        check_name(name)
        with self._store.gate.passed(), self._writing.hold(name):
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

    def able(self, does: Callable[[Version], bool], most: int) -> list[str]:
        """The names of at most so many tasks that do something, the bare base's first."""
        with self._lock:
            found = (name for name, task in self._tasks.items() if does(task.active))
            return list(islice(found, most))

    def close(self) -> None:
        """Wait for puts under way and remove the server's copies; nothing is put afterwards."""
        self._store.close()

    @contextmanager
    def _place(self, name: str) -> Generator[None]:
        """Hold a place among the tasks for a name; raises InsufficientStorage if there is none."""
        with self._lock:
            if len(self._tasks.keys() | self._coming | {name}) > self._max_tasks + 1:
                raise InsufficientStorage(
                    f"The server holds {self._max_tasks} tasks, as many as it may. Remove one "
                    "(polydelta task rm NAME), or have the operator raise --max-tasks."
                )
            self._coming.add(name)
        try:
            yield
        finally:
            with self._lock:
                self._coming.discard(name)

    def _check(self, ref: DeltaRef, staging: Staging) -> Version:
        """Check what is staged and keep it; the store holds it if nothing was raised."""
        # By the headers alone: what does not fit the base is never read.
        outline = formats.outline(staging.path, self._base, self._dtype)
        self._vet(outline)
        self._store.keep(staging, ref.digest)
        # One at a time: the memory that is there for one is there for one alone.
        with self._reading:
            try:
                return self._read(ref, outline.bytes)
            except BaseException:
                self._store.drop(ref.digest)
                raise
            finally:
                self._give_back(outline.bytes)

    def _read(self, ref: DeltaRef, size: int) -> Version:
        """Load a kept delta of `size` bytes and hand it on; raises InsufficientMemory."""
        left = memory().left
        if left is None or _COPIES * size <= left:
            try:
                return self._hand_on(ref)
            except (MemoryError, RuntimeError) as error:
                if not heap.is_exhaustion(error):
                    raise
        # Raised out here, it holds none of the frames in which parts of the delta are.
        raise InsufficientMemory(
            f"The delta takes {size / (1 << 20):.0f} MiB of memory, twice while it is loaded, and "
            "the server has too little left. Try a smaller one, or have the operator give it more."
        )

    def _give_back(self, size: int) -> None:
        """Have memory given back once enough was read for that to be worth its time."""
        self._read_since += size
        if self._read_since >= _WORTH_GIVING_BACK:
            self._read_since = 0
            heap.give_back()

    def _hand_on(self, ref: DeltaRef) -> Version:
        delta = formats.load(self._store.path(ref.digest), self._base, self._dtype)
        warnings = warnings_of(delta, self._base)
        for warning in warnings:
            _log.warning("Task %s: %s", ref.task, warning)
        self.on_checked(ref, delta)
        return Version.of(ref, delta, time.time(), warnings)

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
