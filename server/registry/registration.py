"""Registrations: what a task looks like from outside."""

from collections.abc import Mapping
from dataclasses import dataclass

from server.registry.task import Task
from server.registry.version import Version
from server.registry.which import version_of


@dataclass(frozen=True, slots=True)
class Registration:
    """A task as it was at one moment; `name` is what its tenant calls it.

    `version` is the one that was asked for, the active one where none was. `requests` counts what
    the task was asked since the server started. `versions` are those that can answer, the active
    one first and then the newest; `aliases` name some of them by number.
    """

    name: str
    tenant: str
    version: Version
    active: Version
    requests: int
    versions: tuple[Version, ...]
    aliases: Mapping[str, int]

    @classmethod
    def of(cls, task: Task, requests: int, which: str | None = None) -> "Registration":
        """Show a task that answers, or one of its versions; raises what `version_of` does."""
        active = task.answering
        if active is None:
            raise ValueError(f"{task.name} is removed")
        others = (each for each in reversed(task.versions) if each.number != active.number)
        version = active if which is None else version_of(task, which)
        return cls(
            task.name.name,
            task.name.tenant,
            version,
            active,
            requests,
            (active, *others),
            task.aliases,
        )
