"""Registrations: what a task looks like from outside."""

from collections.abc import Mapping
from dataclasses import dataclass

from server.registry.task import Task
from server.registry.version import Version


@dataclass(frozen=True, slots=True)
class Registration:
    """A task as it was at one moment.

    `requests` counts what it was asked since the server started. `versions` are those that can
    answer, the active one first and then the newest; `aliases` name some of them by number.
    """

    name: str
    active: Version
    requests: int
    versions: tuple[Version, ...]
    aliases: Mapping[str, int]

    @classmethod
    def of(cls, task: Task, requests: int) -> "Registration":
        """Show a task that answers."""
        active = task.answering
        if active is None:
            raise ValueError(f"{task.name} is removed")
        others = (each for each in reversed(task.versions) if each.number != active.number)
        return cls(task.name, active, requests, (active, *others), task.aliases)
