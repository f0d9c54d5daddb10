"""Sharing: what a caller asks of a task's traffic, by names of versions, becomes Traffic."""

from collections.abc import Mapping

from server.errors import InvalidRequest
from server.registry.task import Task
from server.registry.traffic import Bound, Traffic
from server.registry.version import Version
from server.registry.which import version_of

MAX_VERSIONS = 16
"""Versions among which a task's requests are shared."""


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
