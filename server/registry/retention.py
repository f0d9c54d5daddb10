"""Retention: how long versions that do not answer are kept, so that one can go back to them."""

from dataclasses import dataclass, replace

from server.registry.task import Task

_HOUR = 3600.0
_DAY = 24 * _HOUR


@dataclass(frozen=True, slots=True)
class Retention:
    """Keeps the `versions` newest of a task and all younger than `hours`.

    What has an alias and what answers is kept in any case. A removed task is kept whole for
    `removed_hours`, what the audit log tells for `audit_days`.
    """

    versions: int = 5
    hours: float = 0.0
    removed_hours: float = 24.0
    audit_days: float = 90.0

    def over(self, now: float) -> float:
        """Tasks that were removed until then have had their time."""
        return now - _HOUR * self.removed_hours

    def told(self, now: float) -> float:
        """What happened until then is told no more."""
        return now - _DAY * self.audit_days

    def kept(self, task: Task, now: float) -> Task:
        """What is left of a task by these rules, perhaps no version at all."""
        if task.damaged:
            return task
        if task.expires is not None and task.expires <= now:
            task = task.removed(task.expires)
        if task.active is None:
            over = task.changed <= self.over(now)
            return replace(task, versions=(), aliases={}) if over else task
        newest = {each.number for each in task.versions[-self.versions :]}
        young = {v.number for v in task.versions if v.created + _HOUR * self.hours > now}
        return task.keeping(frozenset(newest | young))
