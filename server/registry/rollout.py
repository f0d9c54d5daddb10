"""The rollout: which version answers a request, and which versions are in use; no disk is asked."""

from collections import Counter
from collections.abc import Callable
from itertools import islice
from threading import Lock

from deltas.delta import DeltaRef
from server.errors import TaskNotFound
from server.registry.lease import Lease
from server.registry.names import not_found
from server.registry.registration import Registration
from server.registry.task import Task, digests_of
from server.registry.traffic import Traffic
from server.registry.version import BASE_NAME, Version
from server.registry.which import split, version_of


class Rollout:
    """Tasks as this server serves them, the bare base among them; thread-safe.

    `unneeded` is told, on whichever thread, of a version that is neither a task's any more nor
    leased.
    """

    def __init__(self, bare: Version, unneeded: Callable[[DeltaRef], None]) -> None:
        self._unneeded = unneeded
        self._lock = Lock()
        self._tasks = {BASE_NAME: Task(BASE_NAME, (bare,), bare.number)}
        self._requests = Counter[str]()
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

    def expired(self, now: float) -> list[str]:
        """The names of tasks that have had their time."""
        with self._lock:
            timed = ((name, task.expires) for name, task in self._tasks.items())
            return [name for name, expires in timed if expires is not None and expires <= now]

    def lease(self, name: str, count: int = 1, key: str = "") -> list[Lease]:
        """Look a version up and pin it for `count` requests, in one step.

        Of versions that share a task's traffic, a key draws the same one each time.
        Raises TaskNotFound naming close matches.
        """
        with self._lock:
            version, traffic = self._drawn(name, key)
            if version is not None:
                self._requests[version.ref.task] += count
                return [self._pin(version, traffic) for _ in range(count)]
        raise self._not_found(name)

    def lease_shadow(self, name: str) -> Lease | None:
        """Pin the version that answers a task's requests unseen, if there is one."""
        with self._lock:
            task = self._tasks.get(name)
            if task is None or task.traffic is None or task.traffic.shadow is None:
                return None
            version = task.numbered(task.traffic.shadow)
            return None if version is None else self._pin(version, None)

    def version(self, name: str) -> Version:
        """The version that would answer; raises TaskNotFound naming close matches."""
        with self._lock:
            version = self._version(name)
        if version is None:
            raise self._not_found(name)
        return version

    def show(self, task: Task) -> Registration:
        """Describe a task as it was at some moment; raises TaskNotFound if it was removed."""
        if task.active is None:
            raise not_found(task.name, self.names())
        with self._lock:
            return Registration.of(task, self._requests[task.name])

    def get(self, name: str) -> Registration:
        """Describe a task, or one of its versions; raises TaskNotFound naming close matches."""
        name, which = split(name)
        with self._lock:
            if name in self._tasks:
                return Registration.of(self._tasks[name], self._requests[name], which)
        raise self._not_found(name)

    def all(self) -> list[Registration]:
        """Describe every task but the bare base, by name."""
        with self._lock:
            tasks, requests = dict(self._tasks), Counter(self._requests)
        # A lease waits for the lock, and there may be very many.
        return [
            Registration.of(tasks[name], requests[name])
            for name in sorted(tasks)
            if name != BASE_NAME
        ]

    def able(self, does: Callable[[Version], bool], most: int) -> list[str]:
        """The names of at most so many tasks that do something, the bare base's first."""
        with self._lock:
            answering = ((name, task.answering) for name, task in self._tasks.items())
            able = (name for name, version in answering if version is not None and does(version))
            return list(islice(able, most))

    def names(self) -> set[str]:
        """The names of all tasks but the bare base."""
        with self._lock:
            return self._tasks.keys() - {BASE_NAME}

    def held(self) -> set[str]:
        """The digests of versions that are leased."""
        with self._lock:
            return {ref.digest for ref in self._leases}

    def _not_found(self, name: str) -> TaskNotFound:
        return not_found(split(name)[0], [BASE_NAME, *self.names()])

    def _version(self, name: str) -> Version | None:
        name, which = split(name)
        task = self._tasks.get(name)
        if task is None:
            return None
        return task.answering if which is None else version_of(task, which)

    def _drawn(self, name: str, key: str) -> tuple[Version | None, Traffic | None]:
        """The version that answers a request, and by which traffic it was drawn."""
        task = self._tasks.get(name)
        if task is None or task.traffic is None:
            return self._version(name), None
        return task.chosen(key), task.traffic

    def _pin(self, version: Version, traffic: Traffic | None) -> Lease:
        lease = Lease(version.ref.task, version, self._release, traffic)
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
        task = self._tasks.get(ref.task)
        kept = task is not None and task.of_digest(ref.digest) is not None
        return kept or ref in self._leases
