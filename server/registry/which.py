"""Which version of a task a name means: `spam`, or `spam@` and an alias, a number or a digest."""

from server.errors import TaskNotFound
from server.registry.task import Task
from server.registry.version import Version

_FEWEST = 4
"""Characters of a digest that name it, where no other version's begins with them."""

_SHOWN = 5


def split(name: str) -> tuple[str, str | None]:
    """The task that a name begins with, and which of its versions is meant, None for whichever."""
    task, mark, which = name.partition("@")
    return task, which if mark else None


def version_of(task: Task, which: str) -> Version:
    """The version of a task that an alias, a number such as `7` or `v7`, or a digest names.

    Raises TaskNotFound naming what there is.
    """
    found = _find(task, which)
    if found is not None:
        return found
    known = [*task.aliases, *(f"{each.number}" for each in reversed(task.versions))]
    shown = ", ".join(f"{task.name}@{each}" for each in known[:_SHOWN])
    raise TaskNotFound(
        f"The task '{task.name}' has no version '{which[:64]}'. Some that it has: {shown}.",
        param="task",
    )


def _find(task: Task, which: str) -> Version | None:
    if which in task.aliases:
        return task.numbered(task.aliases[which])
    digits = which.removeprefix("v")
    if digits.isascii() and digits.isdigit() and len(digits) < 10:
        numbered = task.numbered(int(digits))
        if numbered is not None:
            return numbered
    if len(which) < _FEWEST:
        return None
    begun = [each for each in task.versions if each.ref.digest.startswith(which)]
    return begun[0] if len(begun) == 1 else None
