"""Which version of a task a name means: `spam`, or `spam@` and an alias, a number or a digest."""

from server.errors import InvalidRequest, TaskNotFound
from server.registry.names import TaskName
from server.registry.task import Task
from server.registry.version import Version

_FEWEST = 4
"""Characters of a digest that name it, where no other version's begins with them."""

_SHOWN = 5

_QUOTED = 64


def split(asked: TaskName) -> tuple[TaskName, str | None]:
    """The task that is asked for, and which of its versions is meant, None for whichever."""
    name, mark, which = asked.name.partition("@")
    return (TaskName(asked.tenant, name), which) if mark else (asked, None)


def version_of(task: Task, which: str | int) -> Version:
    """The version of a task that an alias, a number such as `7` or `v7`, or a digest names.

    An integer is a number and nothing else. Raises TaskNotFound naming what there is,
    InvalidRequest for the beginning of several digests.
    """
    found = task.numbered(which) if isinstance(which, int) else _of_text(task, which)
    if found is not None:
        return found
    name, asked = task.name.name, str(which)[:_QUOTED]
    known = [*task.aliases, *(f"{each.number}" for each in reversed(task.versions))]
    shown = ", ".join(f"{name}@{each}" for each in known[:_SHOWN])
    raise TaskNotFound(
        f"The task '{name}' has no version {asked!r}. Some that it has: {shown}.",
        param="task",
    )


def check_apart(task: Task, alias: str, version: Version) -> None:
    """Raise InvalidRequest for an alias that names another version already, by its digest."""
    others = [each for each in _begun(task, alias) if each != version]
    if others:
        raise InvalidRequest(
            f"'{alias}' is how the digest of version {others[0].number} begins, so that it names "
            "that one already; choose another alias.",
            param="alias",
        )


def _of_text(task: Task, which: str) -> Version | None:
    if which in task.aliases:
        return task.numbered(task.aliases[which])
    digits = which.removeprefix("v")
    if digits.isascii() and digits.isdigit() and len(digits) < 10:
        numbered = task.numbered(int(digits))
        if numbered is not None:
            return numbered
    found = _begun(task, which)
    if len(found) > 1:
        shown = ", ".join(f"{each.ref.version} ({each.number})" for each in found[:_SHOWN])
        raise InvalidRequest(
            f"Several versions of the task '{task.name.name}' begin with {which!r}: {shown}. Give "
            "more of the digest, or the number.",
            param="task",
        )
    return found[0] if found else None


def _begun(task: Task, text: str) -> list[Version]:
    """The versions, the newest first, whose digests a text may name by beginning them."""
    if len(text) < _FEWEST:
        return []
    return [each for each in reversed(task.versions) if each.ref.digest.startswith(text)]
