"""The rollout: which version answers a request, and which versions are in use; no disk is asked."""

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice
from threading import Lock

from deltas.delta import DeltaRef
from server.errors import TaskNotFound
from server.registry.lease import Lease
from server.registry.names import SHARED, TaskName, not_found, shared
from server.registry.registration import Registration
from server.registry.task import Task, digests_of
from server.registry.traffic import Traffic
from server.registry.version import BASE_NAME, Version
from server.registry.which import split, version_of

_BASE = shared(BASE_NAME)


class Rollout:
    """Tasks as this server serves them, the bare base among them; thread-safe.

    `unneeded` is told, on whichever thread, of a version that is neither a task's any more nor
    leased.
    """

    def __init__(self, bare: Version, unneeded: Callable[[DeltaRef], None]) -> None:
        self._unneeded = unneeded
        self._lock = Lock()
        self._tasks = {_BASE: Task(_BASE, (bare,), bare.number)}
        self._requests = Counter[TaskName]()
        self._leases: dict[DeltaRef, set[Lease]] = {}

    def serve(self, task: Task) -> None:
        """Serve a task as it is now, or no more."""
        name = task.name
        with self._lock:
            known = self._tasks.get(name)
            if task.active is not None:
                self._tasks[name] = task
            elif known is not None:
                del self._tasks[name], self._requests[name]
            left = [each.ref for each in known.versions] if known is not None else []
            kept = digests_of(task) if task.active is not None else set[str]()
            gone = [ref for ref in left if ref.digest not in kept and ref not in self._leases]
        for ref in gone:
            self._unneeded(ref)

    def drop(self, ref: DeltaRef) -> None:
        """Tell that a version is unneeded, if it is."""
        with self._lock:
            needed = self._needs(ref)
        if not needed:
            self._unneeded(ref)

    def expired(self, now: float) -> list[TaskName]:
        """The names of tasks that have had their time."""
        with self._lock:
            timed = ((name, task.expires) for name, task in self._tasks.items())
            return [name for name, expires in timed if expires is not None and expires <= now]

    def lease(self, asked: TaskName, count: int = 1, key: str = "") -> list[Lease]:
        """Look a version up and pin it for `count` requests, in one step.

        A tenant's own task is meant before a shared one. Of versions that share a task's traffic,
        a key draws the same one each time.
        Raises TaskNotFound naming close matches.
        """
        with self._lock:
            version, traffic = self._drawn(asked, key)
            if version is not None:
                self._requests[TaskName.of(version.ref.task)] += count
                return [self._pin(version, traffic) for _ in range(count)]
        raise self.not_found(asked)

    def lease_shadow(self, name: TaskName) -> Lease | None:
        """Pin the version that answers a task's requests unseen, if there is one."""
        with self._lock:
            task = self._task(name)
            if task is None or task.traffic is None or task.traffic.shadow is None:
                return None
            version = task.numbered(task.traffic.shadow)
            return None if version is None else self._pin(version, None)

    def version(self, asked: TaskName) -> Version:
        """The version that would answer; raises TaskNotFound naming close matches."""
        with self._lock:
            version = self._version(asked)
        if version is None:
            raise self.not_found(asked)
        return version

    def show(self, task: Task) -> Registration:
        """Describe a task as it was at some moment; raises TaskNotFound if it was removed."""
        if task.active is None:
            raise self.not_found(task.name)
        with self._lock:
            return Registration.of(task, self._requests[task.name])

    def get(self, asked: TaskName) -> Registration:
        """Describe a task, or one of its versions; raises TaskNotFound naming close matches."""
        name, which = split(asked)
        with self._lock:
            task = self._task(name)
            if task is not None:
                return Registration.of(task, self._requests[task.name], which)
        raise self.not_found(asked)

    def all(self, tenant: str) -> list[Registration]:
        """Describe every task that a tenant sees but the bare base, by name."""
        with self._lock:
            tasks, requests = dict(self._tasks), Counter(self._requests)
        # A lease waits for the lock, and there may be very many.
        seen = _seen(tasks, tenant)
        return [
            Registration.of(tasks[seen[name]], requests[seen[name]])
            for name in sorted(seen)
            if name != BASE_NAME
        ]

    def able(self, does: Callable[[Version], bool], most: int, tenant: str) -> list[str]:
        """What a tenant calls at most so many tasks that do something, the bare base first."""
        with self._lock:
            seen = _seen(self._tasks, tenant)
            answering = ((name, self._tasks[task].answering) for name, task in seen.items())
            able = (name for name, version in answering if version is not None and does(version))
            return list(islice(able, most))

    def counts(self) -> tuple[int, int]:
        """How many tasks there are but the bare base, and how many versions of theirs."""
        tasks = self.tasks()
        return len(tasks), sum(len(task.versions) for task in tasks)

    def tasks(self) -> list[Task]:
        """Every task but the bare base, as it is now."""
        with self._lock:
            return [task for name, task in self._tasks.items() if name != _BASE]

    def names(self) -> set[TaskName]:
        """The names of all tasks but the bare base."""
        with self._lock:
            return self._tasks.keys() - {_BASE}

    def held(self) -> set[str]:
        """The digests of versions that are leased."""
        with self._lock:
            return {ref.digest for ref in self._leases}

    def not_found(self, asked: TaskName) -> TaskNotFound:
        """Say that there is no task of a name, and which close ones its tenant sees."""
        with self._lock:
            seen = _seen(self._tasks, asked.tenant)
        return not_found(split(asked)[0].name, seen)

    def existing(self, task: Task) -> Task:
        """A task that has versions, be it removed; raises TaskNotFound for one that is none."""
        if not task.whole().versions:
            raise self.not_found(task.name)
        return task

    def _task(self, name: TaskName) -> Task | None:
        return self._tasks.get(name) or self._tasks.get(shared(name.name))

    def _version(self, asked: TaskName) -> Version | None:
        name, which = split(asked)
        task = self._task(name)
        if task is None:
            return None
        return task.answering if which is None else version_of(task, which)

    def _drawn(self, asked: TaskName, key: str) -> tuple[Version | None, Traffic | None]:
        """The version that answers a request, and by which traffic it was drawn."""
        task = self._task(asked)
        if task is None or task.traffic is None:
            return self._version(asked), None
        return task.chosen(key), task.traffic

    def _pin(self, version: Version, traffic: Traffic | None) -> Lease:
        lease = Lease(TaskName.of(version.ref.task), version, self._release, traffic)
        self._leases.setdefault(version.ref, set()).add(lease)
        return lease

    def _release(self, lease: Lease) -> None:
        ref = lease.version.ref
        with self._lock:
            leases = self._leases.get(ref)
            if leases is None or lease not in leases:
                return
            leases.discard(lease)
            if leases:
                return
            del self._leases[ref]
            needed = self._needs(ref)
        if not needed:
            self._unneeded(ref)

    def _needs(self, ref: DeltaRef) -> bool:
        task = self._tasks.get(TaskName.of(ref.task))
        kept = task is not None and task.of_digest(ref.digest) is not None
        return kept or ref in self._leases


def _seen(names: Iterable[TaskName], tenant: str) -> dict[str, TaskName]:
    """What a tenant means by each name: its own task, or else the shared one."""
    seen = {name.name: name for name in names if name.tenant == SHARED}
    if tenant != SHARED:
        seen.update((name.name, name) for name in names if name.tenant == tenant)
    return seen
