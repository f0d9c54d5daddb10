"""A put: what is asked of a delta that is to be a version of a task."""

from dataclasses import dataclass, replace
from typing import TypedDict

from deltas.delta import DeltaRef
from server.errors import Conflict
from server.registry.audit import NO_KEYS, SERVER, Act
from server.registry.condition import Condition, check_condition
from server.registry.names import TaskName
from server.registry.task import Task
from server.registry.version import Version


class Terms(TypedDict, total=False):
    """What may be said of a delta that is put; see `Put`."""

    source: str
    lifetime: float | None
    activate: bool | None
    if_match: Condition
    if_none_match: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """A delta to be put, and on which terms.

    `by` is who puts it, `source` where its files came from. After `lifetime` seconds the task is
    removed. A task that answers keeps its active version if `activate` is False, or while versions
    share its traffic and it is None. It is put only if the active version is one of `if_match`
    (versions, digests, or `*` for any), and with `if_none_match` only if the name holds no other
    delta.
    """

    name: TaskName
    ref: DeltaRef
    by: str = SERVER
    source: str = ""
    lifetime: float | None = None
    activate: bool | None = None
    if_match: Condition = None
    if_none_match: bool = False

    def check(self, task: Task) -> Version | None:
        """The version that answers for a task by now; raises PreconditionFailed, Conflict."""
        check_condition(task, self.if_match)
        current = (task.whole() if self.if_none_match else task).answering
        if self.if_none_match and current and current.ref != self.ref:
            raise Conflict(
                f"The task '{self.name.name}' holds another delta already.", param="task"
            )
        return current

    @property
    def act(self) -> Act:
        """What the audit log is told."""
        return Act("put", self.by, self.ref.version, lambda task: task.number_of(self.ref.digest))

    def made(self, task: Task, version: Version, now: float) -> Task:
        """A task with the delta's version, put at a moment; raises what `check` raises."""
        # Another server may have been faster.
        self.check(task)
        key = "" if self.by in NO_KEYS else self.by
        expires = None if self.lifetime is None else now + self.lifetime
        version = replace(version, source=self.source, by=key)
        return task.put(version, now, expires, self.activate)
