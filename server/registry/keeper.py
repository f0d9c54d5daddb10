"""The keeper: makes every change of a task, first durably and then for requests, and tidies up."""

import logging
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

from deltas.delta import DeltaRef
from deltas.errors import PolydeltaError
from server.registry.catalogue.catalogue import Catalogue, Edit
from server.registry.follower import Follower
from server.registry.keyed_lock import KeyedLock
from server.registry.names import TaskName
from server.registry.retention import Retention
from server.registry.rollout import Rollout
from server.registry.store import Store
from server.registry.tally import Counted, Tally
from server.registry.task import Task
from server.registry.version import Version

_log = logging.getLogger(__name__)

_RULES_EVERY = 60.0
"""Seconds between looks at all versions of all tasks."""


class Keeper:
    """Keeps catalogue, rollout and store at one; thread-safe.

    `on_forgotten` is told of a version that nothing needs any more.
    """

    def __init__(
        self,
        store: Store,
        catalogue: Catalogue,
        retention: Retention,
        bare: Version,
        tally: Tally,
    ) -> None:
        self.on_forgotten: Callable[[DeltaRef], None] = lambda _: None
        self.rollout = Rollout(bare, self._forget)
        self._store = store
        self._catalogue = catalogue
        self._retention = retention
        self._tally = tally
        self._telling = KeyedLock()
        self._tidying = ThreadPoolExecutor(1, thread_name_prefix="registry-tidying")
        # Who starts a thread where memory is exhausted may wait for it for ever.
        self._tidying.submit(int).result()
        self._follower: Follower | None = None
        self._seen = 0
        self._looked = time.monotonic()
        self._pending: set[TaskName] = set()
        self._rules_due = 0.0

    def start(self) -> None:
        """Serve the tasks that there are, and remove what is in the store for none of them."""
        self._store.quota.make_room = self._make_room
        # Before the tasks: what changes in between is looked at twice, and not missed.
        self._seen = self._catalogue.newest()
        if self._catalogue.is_new and not self._seen and self._store.digests():
            _log.error(
                "The store has deltas and its registry is new, so there are no tasks: they are set "
                "aside as %s. To have them again, stop, restore the registry's database and rename "
                "this to blobs.",
                self._store.set_aside(),
            )
        blobs = self._store.digests()
        for task in self._catalogue.tasks():
            self.rollout.serve(task)
            version = task.answering
            if version is not None and version.ref.digest not in blobs:
                _log.error("The files of task '%s' are gone from the store.", task.name)
        self._sweep_soon(blobs)

    def follow(self) -> None:
        """From now on take over what other servers change, and remove what has had its time."""
        self._follower = Follower(self.look, self._catalogue.wait)

    def change(self, name: TaskName, what: str, edit: Edit) -> Task:
        """Change a task durably, then for requests; what its retention does not hold goes."""
        retired = 0

        def kept(task: Task) -> Task:
            nonlocal retired
            edited = edit(task)
            left = self._retention.kept(edited, time.time())
            retired = len(edited.versions) - len(left.versions)
            return left

        with self._telling.hold(name):
            change = self._catalogue.change(name, what, kept)
            self.rollout.serve(change.task)
        if retired:
            self._tally.add(Counted.RETIRED, amount=retired)
        self._sweep_soon(change.lost)
        return change.task

    def look(self) -> None:
        """Take over what other servers changed, and remove what has had its time."""
        looked = time.monotonic()
        self._seen, names = self._catalogue.changes(self._seen)
        self._looked = looked
        # What fails is tried again with the next look, and keeps none of the others.
        self._pending |= names
        errors = [
            *_for_each(list(self._pending), self._take_over),
            *_for_each(self._overdue(time.time()), self._keep_to_rules),
        ]
        if errors:
            raise errors[0]

    @property
    def behind(self) -> tuple[float, int]:
        """Seconds since changes of others were last looked at, and tasks that failed then."""
        if self._follower is None:
            return 0.0, 0
        return time.monotonic() - self._looked, len(self._pending)

    def settle(self) -> None:
        """Wait until what nothing needs any more is removed from the store."""
        self._tidying.submit(lambda: None).result()

    def close(self) -> None:
        """Change nothing by itself any more."""
        if self._follower is not None:
            self._follower.close()
        self._tidying.shutdown()

    def _take_over(self, name: TaskName) -> None:
        with self._telling.hold(name):
            self.rollout.serve(self._catalogue.task(name).whole())
        self._pending.discard(name)

    def _keep_to_rules(self, name: TaskName) -> None:
        self.change(name, "kept by the rules", lambda task: task)

    def _overdue(self, now: float) -> list[TaskName]:
        """Tasks that have had their time; now and then also those with versions that have."""
        if now < self._rules_due:
            return self.rollout.expired(now)
        self._rules_due = now + _RULES_EVERY
        self._store.recount()
        tasks = self._catalogue.tasks()
        return [task.name for task in tasks if self._retention.kept(task, now) != task]

    def _make_room(self, size: int) -> None:
        """Give up removed tasks, those first that were removed first, until so much is free."""
        self._store.recount()
        removed = (t for t in self._catalogue.tasks() if t.active is None and not t.damaged)
        for task in sorted(removed, key=lambda task: task.changed):
            if self._store.quota.has(size):
                return
            self.change(task.name, "made room", _given_up)
            self.settle()

    def _forget(self, ref: DeltaRef) -> None:
        self._sweep_soon({ref.digest})
        self.on_forgotten(ref)

    def _sweep_soon(self, digests: Iterable[str]) -> None:
        """Remove what is not needed of some blobs; whoever asks waits for no disk."""
        wanted = frozenset(digests)
        # The server may be ending: the next one sweeps.
        with suppress(RuntimeError):
            if wanted:
                self._tidying.submit(self._sweep, wanted)

    def _sweep(self, digests: Iterable[str]) -> None:
        try:
            self._store.sweep(digests, self._needed)
        except Exception as error:
            _log.error("The store could not be swept: %s", error)

    def _needed(self) -> set[str]:
        return self._catalogue.digests() | self.rollout.held()


def _for_each(names: Iterable[TaskName], work: Callable[[TaskName], None]) -> list[PolydeltaError]:
    """Do something for each name, whatever becomes of the others; return what was raised."""
    errors: list[PolydeltaError] = []
    for name in names:
        try:
            work(name)
        except PolydeltaError as error:
            errors.append(error)
    return errors


def _given_up(task: Task) -> Task:
    return replace(task, versions=()) if task.active is None else task
