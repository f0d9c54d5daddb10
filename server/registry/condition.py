"""Conditions: at which version a task must be for a change to be made."""

from typing import TypeAlias

from server.errors import PreconditionFailed
from server.registry.task import Task

ANY = "*"

Condition: TypeAlias = frozenset[str] | None
"""Versions or digests, one of which is to be active, or states of the task's traffic, one of which
is to be its own, or ANY among them; None where none need be."""


def check_condition(task: Task, condition: Condition) -> None:
    """Raise PreconditionFailed unless a task is as it must be."""
    if condition is None:
        return
    current = task.whole().answering
    names = set[str]()
    if current is not None:
        names = {ANY, current.ref.version, current.ref.digest, task.state}
    if names.isdisjoint(condition):
        now = f"at version {current.ref.version}" if current else "not there"
        raise PreconditionFailed(f"The task is {now}, not at the version given.", param="task")
