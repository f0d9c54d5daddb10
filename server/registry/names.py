"""Names of tasks: whose they are and what they are called."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from heapq import nsmallest
from itertools import islice

from server.errors import InvalidRequest, TaskNotFound
from server.registry.version import BASE_NAME

PLAIN_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
"""The form of every name that becomes part of a path."""

NAME_RULE = (
    "A task's name is 1 to 128 of the characters A-Z a-z 0-9 . _ - and begins with a letter or a "
    "digit."
)

_VERSION_RULE = (
    "Versions are made under their task's name and never change: leave out the @ and what follows. "
    "Another version answers once it is activated (polydelta task activate NAME VERSION)."
)

MAX_REFERENCE = 257
"""Characters of a task's name, an @, and an alias, which is as long as a name."""

SHARED = ""
"""The tenant whose tasks all see, and whose there are where nobody has a key."""

_NAME = re.compile(PLAIN_NAME)
MEANS_ONE = r"v?[0-9]+|[0-9a-f]{12,64}"
"""What means a version by itself: its number, or its digest or the beginning of it."""

_MEANS_ONE = re.compile(MEANS_ONE)

_LOOKED_AT = 2000
"""Unknown names are met on the event loop, so only so many are compared with them."""


@dataclass(frozen=True, slots=True, order=True)
class TaskName:
    """What a tenant calls a task: as it is put, or as it is asked for, `@` a version perhaps."""

    tenant: str
    name: str

    @classmethod
    def of(cls, key: str) -> "TaskName":
        """The name that has a key."""
        tenant, _, name = key.rpartition("/")
        return cls(tenant, name)

    def __str__(self) -> str:
        """The key: one text for both, in which no two names are alike, as they hold no `/`."""
        return f"{self.tenant}/{self.name}" if self.tenant else self.name


def shared(name: str) -> TaskName:
    """The name of a task that all see."""
    return TaskName(SHARED, name)


def is_plain(name: str) -> bool:
    """Whether a name has the form that names have."""
    return _NAME.fullmatch(name) is not None


def rule_broken(name: str) -> str:
    """What to say of a name that is none."""
    task, mark, _ = name.partition("@")
    return _VERSION_RULE if mark and is_plain(task) else NAME_RULE


def check_name(task: TaskName) -> None:
    """Raise InvalidRequest unless a delta can be registered under a name."""
    if not is_plain(task.name):
        raise InvalidRequest(rule_broken(task.name), param="task")
    if task.name == BASE_NAME:
        raise InvalidRequest(f"'{BASE_NAME}' names the bare base; choose another.", param="task")


def check_alias(alias: str) -> None:
    """Raise InvalidRequest unless a version can be called so: not what means one by itself."""
    if not is_plain(alias) or _MEANS_ONE.fullmatch(alias):
        raise InvalidRequest(
            "An alias is 1 to 128 of the characters A-Z a-z 0-9 . _ -, begins with a letter or a "
            "digit, and is no number, with or without a v, nor like 12 digits or more of a digest.",
            param="alias",
        )


def not_found(name: str, names: Iterable[str]) -> TaskNotFound:
    """Say that there is no task of a name, and which names are close to it."""
    if not is_plain(name):
        return TaskNotFound("There is no such task.", param="task")
    # Whoever changes its own task, and has none, may see a shared one of the very name.
    others = (other for other in islice(names, _LOOKED_AT) if other != name)
    distances = ((_distance(name, other), other) for other in others)
    # Far apart is what shares less than half.
    close = (pair for pair in distances if 2 * pair[0] <= max(len(name), len(pair[1])))
    matches = [other for _, other in nsmallest(3, close)]
    hint = f" Did you mean {' or '.join(matches)}?" if matches else ""
    return TaskNotFound(f"There is no task '{name}'.{hint}", param="task")


def _distance(a: str, b: str) -> int:
    """The length of the longer name between what the two share at the start and at the end."""
    shared = _shared(a, b) + _shared(a[::-1], b[::-1])
    return max(len(a), len(b)) - min(shared, len(a), len(b))


def _shared(a: str, b: str) -> int:
    """The length of the longest common start, by halving: comparing slices is quick."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[:middle] == b[:middle]:
            low = middle
        else:
            high = middle - 1
    return low
