"""Rows: how a task and its versions lie in the tables, and what can be read of them."""

import json
import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from pydantic import TypeAdapter, ValidationError

from server.registry.catalogue.tables import is_sound, sealed
from server.registry.names import TaskName
from server.registry.task import Task
from server.registry.traffic import Traffic
from server.registry.version import Version

_log = logging.getLogger(__name__)

_VERSION = TypeAdapter(Version)
_TRAFFIC = TypeAdapter(Traffic | None)

Row: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rows:
    """What there is of one task: its own row and that of its traffic, if they are there."""

    task: list[Row] = field(default_factory=list[Row])
    versions: list[Row] = field(default_factory=list[Row])
    traffic: list[Row] = field(default_factory=list[Row])


def task_row(base: str, task: Task) -> Row:
    """A task of a base as a row of `tasks`."""
    return sealed(
        {
            "base": base,
            "tenant": task.name.tenant,
            "name": task.name.name,
            "active": task.active,
            "aliases": json.dumps(dict(task.aliases)),
            "latest": task.latest,
            "changed": task.changed,
            "expires": task.expires,
        }
    )


def version_row(base: str, task: TaskName, version: Version) -> Row:
    """A version of a base's task as a row of `versions`."""
    return sealed(
        {
            "base": base,
            "tenant": task.tenant,
            "task": task.name,
            "number": version.number,
            "digest": version.ref.digest,
            "about": _VERSION.dump_json(version).decode(),
        }
    )


def traffic_row(base: str, task: Task) -> Row:
    """How versions of a base's task share its traffic, as a row of `traffic`."""
    return sealed(
        {
            "base": base,
            "tenant": task.name.tenant,
            "task": task.name.name,
            "about": _TRAFFIC.dump_json(task.traffic).decode(),
        }
    )


def name_of(row: Row, column: str) -> TaskName:
    """The task that a row is of, whose name is in a column."""
    return TaskName(row["tenant"], row[column])


def read_task(name: TaskName, rows: Rows) -> Task:
    """Read a task of its rows; it is damaged where these do not tell which version answers.

    A row that is not as it was written tells nothing, but that its number was given.
    """
    versions = tuple(found for each in rows.versions if (found := _version(each)) is not None)
    row = next(iter(rows.task), None)
    if row is None or not is_sound(row):
        given = (each["number"] for each in rows.versions)
        latest = max((number for number in given if isinstance(number, int)), default=0)
        there = row is not None or bool(rows.versions)
        return Task(name, versions, latest=latest, damaged=there)
    numbers = {each.number for each in versions}
    lost = row["active"] is not None and row["active"] not in numbers
    traffic = (found for each in rows.traffic if (found := _traffic(each)) is not None)
    shared = None if lost else next(traffic, None)
    return Task(
        name=name,
        versions=versions,
        active=None if lost else row["active"],
        aliases={alias: n for alias, n in json.loads(row["aliases"]).items() if n in numbers},
        latest=row["latest"],
        changed=row["changed"],
        expires=row["expires"],
        traffic=None if shared is None else shared.among(numbers),
        damaged=lost,
    )


def read_tasks(tasks: Iterable[Row], versions: Iterable[Row], traffic: Iterable[Row]) -> list[Task]:
    """Read all tasks of a base, by name; what is damaged is logged."""
    found: dict[TaskName, Rows] = {}
    for row in tasks:
        found.setdefault(name_of(row, "name"), Rows()).task.append(row)
    for row in versions:
        found.setdefault(name_of(row, "task"), Rows()).versions.append(row)
    for row in traffic:
        if (name := name_of(row, "task")) in found:
            found[name].traffic.append(row)
    read = [(read_task(name, found[name]), found[name]) for name in sorted(found)]
    for task, rows in read:
        _tell(task, rows)
    return [task for task, _ in read]


def _version(row: Row) -> Version | None:
    with suppress(ValidationError):
        if is_sound(row):
            return _VERSION.validate_json(row["about"])
    return None


def _traffic(row: Row) -> Traffic | None:
    with suppress(ValidationError):
        if is_sound(row):
            return _TRAFFIC.validate_json(row["about"])
    return None


def _tell(task: Task, rows: Rows) -> None:
    name = task.name
    if task.damaged:
        _log.error("The task '%s' is damaged in the registry's database; it is not served.", name)
    numbers = {each.number for each in task.versions}
    for number in (row["number"] for row in rows.versions if row["number"] not in numbers):
        _log.error("Version %s of task '%s' is damaged in the registry.", number, name)
    if not all(map(is_sound, rows.traffic)):
        _log.error(
            "How versions of task '%s' share its traffic is damaged in the registry; the active "
            "one answers. Set it again.",
            name,
        )
