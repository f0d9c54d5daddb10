"""Sharing: versions of a task share its requests, as a caller asks by their names."""

import time
from collections.abc import Mapping

from server.errors import InvalidRequest
from server.registry.audit import SERVER, Act
from server.registry.changes import Changes
from server.registry.condition import Condition, check_condition
from server.registry.names import TaskName
from server.registry.rollout import Rollout
from server.registry.task import Task
from server.registry.traffic import Bound, Traffic
from server.registry.version import Version
from server.registry.which import version_of

MAX_VERSIONS = 16
"""Versions among which a task's requests are shared."""

_TOLD = 500
"""Characters of shares that the audit log tells."""


class Sharing:
    """Changes how tasks' requests are shared; thread-safe and blocking."""

    def __init__(self, changes: Changes, rollout: Rollout) -> None:
        self._changes = changes
        self._rollout = rollout

    def share(
        self,
        name: TaskName,
        shares: Mapping[str, int],
        shadow: str | int | None = None,
        bound: Bound | None = None,
        *,
        by: str = SERVER,
        if_match: Condition = None,
    ) -> Task:
        """Have versions share a task's requests, and one perhaps answer all of them unseen.

        Versions are named as for `Versions.activate`. Raises TaskNotFound, InvalidRequest,
        PreconditionFailed.
        """

        def shared(task: Task) -> Task:
            check_condition(self._rollout.existing(task), if_match)
            return task.shared(traffic_of(task, shares, shadow, bound))

        about = ", ".join(f"{which}: {share}" for which, share in shares.items())[:_TOLD]
        return self._changes.make(name, Act("share", by, about), shared)

    def unshare(self, name: TaskName, *, by: str = SERVER, if_match: Condition = None) -> Task:
        """Have a task's active version answer alone; raises as `share` does."""

        def alone(task: Task) -> Task:
            check_condition(self._rollout.existing(task), if_match)
            return task.shared(None)

        return self._changes.make(name, Act("unshare", by), alone)

    def step_back(self, name: TaskName, number: int, reason: str) -> bool:
        """Take its share of a task's requests from a version; False if it has none any more."""
        done = False

        def stepped_back(task: Task) -> Task:
            nonlocal done
            after = task.stepped_back(number, reason, time.time())
            done = after != task
            return after

        act = Act("step_back", about=reason, version=lambda _: number)
        self._changes.make(name, act, stepped_back)
        return done


def traffic_of(
    task: Task, shares: Mapping[str, int], shadow: str | int | None, bound: Bound | None
) -> Traffic:
    """Find the versions that share a task's requests.

    Raises TaskNotFound for one that is not there, InvalidRequest for one that is named twice, or
    whose answers are of another type than the active one's.
    """
    numbers: dict[int, int] = {}
    for which, share in shares.items():
        version = _fitting(task, which)
        if version.number in numbers:
            raise InvalidRequest(f"Version {version.number} is named twice; name it once.", which)
        numbers[version.number] = share
    traffic = Traffic(numbers, None if shadow is None else _fitting(task, shadow).number, bound)
    _check(traffic)
    return traffic


def _fitting(task: Task, which: str | int) -> Version:
    version, active = version_of(task, which), task.answering
    if active is None:
        raise InvalidRequest(f"The task '{task.name.name}' is removed; activate a version first.")
    if version.type is not active.type:
        raise InvalidRequest(
            f"Version {version.number} is of type {version.type.value}, the active one of type "
            f"{active.type.value}: they cannot answer the same requests.",
            str(which),
        )
    return version


def _check(traffic: Traffic) -> None:
    if len(traffic.shares) > MAX_VERSIONS:
        raise InvalidRequest(f"At most {MAX_VERSIONS} versions share a task's requests.")
    if traffic.shares and not any(traffic.shares.values()):
        raise InvalidRequest("One version at least needs a share greater than 0.")
    if not traffic.shares and traffic.shadow is None:
        raise InvalidRequest(
            'Say which versions share the requests, such as {"v1": 90, "v2": 10}, or which one '
            "is the shadow."
        )
