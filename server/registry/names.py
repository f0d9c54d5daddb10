"""Names of tasks."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

from server.errors import InvalidRequest, TaskNotFound
from server.registry.version import BASE_NAME

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def check_name(name: str) -> None:
    """Raise InvalidRequest unless a delta can be registered under a name."""
    if not _NAME.fullmatch(name):
        raise InvalidRequest(
            "A task's name is 1 to 128 of the characters A-Z a-z 0-9 . _ - and begins with a "
            "letter or a digit.",
            param="task",
        )
    if name == BASE_NAME:
        raise InvalidRequest(f"'{BASE_NAME}' names the bare base; choose another.", param="task")


def not_found(name: str, names: Iterable[str]) -> TaskNotFound:
    """Say that there is no task of a name, and which names are close to it."""
    if not _NAME.fullmatch(name):
        return TaskNotFound("There is no such task.", param="task")
    matches = get_close_matches(name, names, n=3)
    hint = f" Did you mean {' or '.join(matches)}?" if matches else ""
    return TaskNotFound(f"There is no task '{name}'.{hint}", param="task")
