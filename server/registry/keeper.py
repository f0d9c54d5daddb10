"""The keeper: makes every change of a task, first durably and then for requests, and tidies up."""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from deltas.delta import DeltaRef
from deltas.errors import PolydeltaError
from server.registry.audit import Act
from server.registry.catalogue.catalogue import NO_CHANGE, Catalogue, Change, Edit, Key
from server.registry.follower import Follower
from server.registry.keyed_lock import KeyedLock
from server.registry.names import TaskName
from server.registry.retention import Retention
from server.registry.rollout import Rollout
from server.registry.store import Store
from server.registry.supply.supply import Supply
from server.registry.sweeper import Sweeper
from server.registry.tally import Counted, Tally
from server.registry.task import Task, digests_of
from server.registry.version import Version

_log = logging.getLogger(__name__)

_RULES_EVERY = 60.0
"""Seconds between looks at all versions of all tasks."""

_TOLD = 10
"""Lost tasks that are named in the log."""

_T = TypeVar("_T")


class Keeper:
    """Keeps catalogue, rollout and store at one; thread-safe.

    `claim` has the store be of the database, as `ClaimedDatabase` does.
    `on_forgotten` is told of a version that nothing needs any more, `on_access` that keys or
    tenants may have changed.
    """

    def __init__(
        self,
        store: Store,
        catalogue: Catalogue,
        claim: Callable[[Callable[[], None]], object],
        retention: Retention,
        bare: Version,
        tally: Tally,
        supply: Supply | None = None,
    ) -> None:
        self.on_forgotten: Callable[[DeltaRef], None] = lambda _: None
        self.on_access: Callable[[], None] = lambda: None
        self.rollout = Rollout(bare, self._forget)
        self._store = store
        self._catalogue = catalogue
        self._claim = claim
        self._retention = retention
        self._tally = tally
        self._supply = supply
        self._telling = KeyedLock()
        self._sweeper = Sweeper(store, catalogue, self.rollout)
        self._follower: Follower | None = None
        self._seen = NO_CHANGE
        self._looked = time.monotonic()
        self._pending: set[TaskName] = set()
        self._failed = 0
        self._rules_due = 0.0

    def start(self) -> None:
        """Serve the tasks that there are, and remove what is in the store for none of them."""
        self._store.quota.make_room = self._make_room
        self._claim(self._set_aside)
        # Before the tasks: what changes in between is looked at twice, and not missed.
        self._seen = self._catalogue.newest()
        blobs = self._store.digests()
        tasks = self._catalogue.tasks()
        for task in tasks:
            self.rollout.serve(task)
        if self._supply is not None:
            for task in tasks:
                self._supply.expect(digests_of(task) - blobs)
        else:
            answering = ((task.name, task.answering) for task in tasks)
            _tell_lost([name for name, its in answering if its and its.ref.digest not in blobs])
        self._sweeper.soon(blobs)

    def follow(self) -> None:
        """From now on take over what other servers change, and remove what has had its time."""
        self._follower = Follower(self.look, self._catalogue.wait)

    def change(self, name: TaskName, act: Act, edit: Edit) -> Task:
        """Change a task durably, then for requests; what its retention does not hold goes."""
        change = self._change((self._catalogue.base, name), act, edit)
        self._sweeper.soon(change.lost)
        return change.task

    def look(self) -> None:
        """Take over what other servers changed, and remove what has had its time."""
        looked = time.monotonic()
        found = self._catalogue.changes(self._seen)
        if found.access:
            self.on_access()
        # What fails is tried again with the next look, and keeps none of the others.
        self._pending |= self._all() if found.tasks is None else found.tasks
        # Only now: whatever `_all` raises, the next look is one at all tasks again.
        self._seen = found.newest
        self._looked = looked
        failed = _for_each(list(self._pending), self.take_over)
        self._failed = len(failed)
        errors = [*failed, *_for_each(self._overdue(time.time()), self._keep_to_rules)]
        if errors:
            raise errors[0]

    @property
    def behind(self) -> tuple[float, int]:
        """Seconds since changes of others were last looked at, and tasks that failed then."""
        if self._follower is None:
            return 0.0, 0
        return time.monotonic() - self._looked, self._failed

    def settle(self) -> None:
        """Wait until what nothing needs any more is removed from the store."""
        self._sweeper.settle()

    def close(self) -> None:
        """Change nothing by itself any more."""
        if self._follower is not None:
            self._follower.close()
        self._sweeper.close()

    def _all(self) -> set[TaskName]:
        """Whatever task there is or was here: another database is in the place of the last one."""
        self._claim(self._set_aside)
        return self._catalogue.names() | self.rollout.names()

    def _set_aside(self) -> None:
        """Keep blobs from being removed that a database new to the store knows nothing of."""
        _log.error(
            "The store has deltas and its registry is new, so there are no tasks: they are set "
            "aside as %s. To have them again, stop, restore the registry's database and rename "
            "this to blobs.",
            self._store.set_aside(),
        )

    def take_over(self, name: TaskName) -> None:
        """Serve a task as the catalogue has it, and have those of its files fetched that lack."""
        with self._telling.hold(name):
            task = self._catalogue.task(name).whole()
            if self._supply is not None:
                self._supply.expect(digests_of(task))
            self.rollout.serve(task)
        self._pending.discard(name)

    def _keep_to_rules(self, key: Key) -> None:
        self._sweeper.soon(self._change(key, Act("retire"), lambda task: task).lost)

    def _overdue(self, now: float) -> Iterable[Key]:
        """Tasks that have had their time; now and then also those with versions that have.

        A removed task may be of a base that no server is left for.
        """
        base = self._catalogue.base
        if now < self._rules_due:
            return [(base, name) for name in self.rollout.expired(now)]
        self._rules_due = now + _RULES_EVERY
        self._store.recount()
        self._catalogue.audit.forget(self._retention.told(now))
        # What a server elsewhere let go of may be here.
        self._sweeper.soon(self._store.digests())
        tasks = self.rollout.tasks()
        mine = [(base, task.name) for task in tasks if self._retention.kept(task, now) != task]
        over = self._catalogue.removed(self._retention.over(now))
        return [*mine, *self._catalogue.expired(now), *over]

    def _make_room(self, size: int) -> None:
        """Give up removed tasks of any base, the one removed first first, until so much is free."""
        with self._store.gate.passed():
            self._store.recount()
            for key in self._catalogue.removed():
                if self._store.quota.has(size):
                    return
                self._sweeper.now(self._change(key, Act("make_room"), _given_up).lost)

    def _change(self, key: Key, act: Act, edit: Edit) -> Change:
        """Change a task of any base durably, then for requests."""
        base, name = key
        retired = 0

        def kept(task: Task) -> Task:
            nonlocal retired
            edited = edit(task)
            left = self._retention.kept(edited, time.time())
            retired = len(edited.versions) - len(left.versions)
            return left

        if base != self._catalogue.base:
            return self._catalogue.of(base).change(name, act, kept)
        with self._telling.hold(name):
            change = self._catalogue.change(name, act, kept)
            self.rollout.serve(change.task)
        if retired:
            self._tally.add(Counted.RETIRED, amount=retired)
        return change

    def _forget(self, ref: DeltaRef) -> None:
        if self._supply is not None:
            self._supply.forget(ref.digest)
        self._sweeper.soon({ref.digest})
        self.on_forgotten(ref)


def _tell_lost(names: Sequence[TaskName]) -> None:
    for name in names[:_TOLD]:
        _log.error("The files of task '%s' are gone from the store.", name)
    if len(names) > _TOLD:
        _log.error("So are those of %s more; polydelta store check names them.", len(names) - _TOLD)


def _for_each(them: Iterable[_T], work: Callable[[_T], None]) -> list[PolydeltaError]:
    """Do something for each, whatever becomes of the others; return what was raised."""
    errors: list[PolydeltaError] = []
    for each in them:
        try:
            work(each)
        except PolydeltaError as error:
            errors.append(error)
    return errors


def _given_up(task: Task) -> Task:
    gone = task.active is None and not task.damaged
    return replace(task, versions=()) if gone else task
