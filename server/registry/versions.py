"""Versions of tasks: which there are, which one answers, and what they are called."""

import time

from server.registry.audit import SERVER, Act
from server.registry.blobs import Blobs
from server.registry.catalogue.catalogue import Catalogue
from server.registry.changes import Changes
from server.registry.condition import Condition, check_condition
from server.registry.keeper import Keeper
from server.registry.names import TaskName, check_alias, check_name
from server.registry.registration import Registration
from server.registry.task import Task
from server.registry.which import check_apart, version_of


class Versions:
    """Changes what tasks make of the versions that they have; thread-safe and blocking."""

    def __init__(
        self, catalogue: Catalogue, keeper: Keeper, changes: Changes, blobs: Blobs
    ) -> None:
        self._catalogue = catalogue
        self._keeper = keeper
        self._rollout = keeper.rollout
        self._changes = changes
        self._blobs = blobs

    def of(self, name: TaskName) -> Task:
        """A task with all its versions, be it removed; raises TaskNotFound."""
        check_name(name)
        return self._rollout.existing(self._catalogue.task(name))

    def activate(
        self, name: TaskName, which: str | int, *, by: str = SERVER, if_match: Condition = None
    ) -> Registration:
        """Have an earlier version answer again, or the task if it was removed.

        `which` is as in `version_of`. Raises what that raises, PreconditionFailed,
        DeltaUnavailable if the version's files are damaged.
        """
        with self._changes.asked("activate", name, by), self._changes.alone(name):
            task = self._catalogue.task(name)
            # What is sound of a damaged task can be activated.
            ref = version_of(task if task.versions else self._rollout.existing(task), which).ref
            self._blobs.check(ref)

            def activated(task: Task) -> Task:
                check_condition(task, if_match)
                # An alias may name another by now, whose files nobody has looked at.
                return task.activated(version_of(task, ref.digest).number, time.time())

            act = Act("activate", by, ref.version, lambda task: task.active)
            return self._rollout.show(self._keeper.change(name, act, activated))

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

        def aliased(task: Task) -> Task:
            check_alias(alias)
            check_condition(self._rollout.existing(task), if_match)
            if which is None:
                return task.aliased(alias, None)
            version = version_of(task, which)
            check_apart(task, alias, version)
            return task.aliased(alias, version.number)

        about = f"{alias} taken away" if which is None else alias
        act = Act("alias", by, about, lambda task: task.aliases.get(alias))
        return self._changes.make(name, act, aliased)
