"""The audit log's own values: what was done to a registry, by whom, and what came of it."""

from collections.abc import Callable
from dataclasses import dataclass

from server.registry.names import TaskName
from server.registry.task import Task

OPERATOR = "operator"
"""Whoever has the command line on the registry's database."""

SERVER = "server"
"""A server by itself, by its settings and rules."""

ANONYMOUS = "anonymous"
"""Whoever asks a server that has no keys."""

NO_KEYS = frozenset({OPERATOR, SERVER, ANONYMOUS})
"""What no key is called, since it means somebody else."""


def _none(_: Task) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Act:
    """What is done to a task: its kind, who does it, and more of it in words.

    `version` tells which version it was about, of the task as it is afterwards.
    """

    kind: str
    who: str = SERVER
    about: str = ""
    version: Callable[[Task], int | None] = _none

    def __str__(self) -> str:
        return f"{self.kind} {self.about}".rstrip()


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log; entries have ascending numbers.

    `at` is in seconds since the epoch, `outcome` is `done` or the code of the error that refused
    it. Of keys, `about` is what the key is called, and the task's name is empty.
    """

    number: int
    at: float
    who: str
    kind: str
    task: TaskName
    version: int | None
    about: str
    outcome: str
