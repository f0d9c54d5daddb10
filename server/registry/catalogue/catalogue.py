"""The catalogue: which tasks there are, durably, for every server that shares a store."""

import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from threading import Event
from typing import Any, TypeAlias

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Connection, Table, delete, func, insert, select

from server.errors import RegistryUnavailable
from server.registry.catalogue.database import Database
from server.registry.catalogue.tables import CHANGES, TASKS, TRAFFIC, VERSIONS, is_sound, sealed
from server.registry.task import Task
from server.registry.traffic import Traffic
from server.registry.version import Version

_log = logging.getLogger(__name__)

_LOGGED = 100_000
"""Changes that are remembered, at least."""

Edit: TypeAlias = Callable[[Task], Task]
"""Makes the next state of a task of the last one, or raises; a task without versions is none."""

_VERSION = TypeAdapter(Version)
_TRAFFIC = TypeAdapter(Traffic)

_Row: TypeAlias = Mapping[str, Any]


class Catalogue:
    """The tasks of one base, by its fingerprint; thread-safe and blocking.

    Raises what Database raises.
    """

    def __init__(self, database: Database, base: str) -> None:
        self._database = database
        self._base = base

    @property
    def is_new(self) -> bool:
        """Whether the database was not there before this server."""
        return self._database.is_new

    def tasks(self) -> list[Task]:
        """Every task, removed ones that can still come back included; damaged ones are logged."""
        with self._database.reading() as connection:
            rows = _rows(connection, TASKS, base=self._base)
            versions = _by_task(_rows(connection, VERSIONS, base=self._base))
            traffic = _by_task(_rows(connection, TRAFFIC, base=self._base))
        found: list[Task] = []
        for row in rows:
            with suppress(RegistryUnavailable):
                name = row["name"]
                found.append(_task(row, versions.get(name, []), traffic.get(name, [])))
        return found

    def task(self, name: str) -> Task:
        """One task, without versions if there is none; raises RegistryUnavailable if damaged."""
        with self._database.reading() as connection:
            return self._read(connection, name)

    def change(self, name: str, what: str, edit: Edit) -> Task:
        """Make a task what `edit` makes of it, in one step; return what it is then.

        `what` says for whoever reads the log of changes what was done. Nothing is written where
        `edit` leaves the task as it is.
        """
        with self._database.transaction() as connection:
            before = self._read(connection, name)
            after = edit(before)
            if after == before:
                return before
            self._write(connection, before, after)
            row = {"base": self._base, "task": name, "at": time.time(), "what": what}
            revision = connection.scalar(insert(CHANGES).values(row).returning(CHANGES.c.revision))
            if revision and revision % _LOGGED == 0:
                connection.execute(delete(CHANGES).where(CHANGES.c.revision <= revision - _LOGGED))
            self._database.tell(connection)
        return after

    def newest(self) -> int:
        """The number of the last change there is."""
        with self._database.reading() as connection:
            return connection.scalar(select(func.max(CHANGES.c.revision))) or 0

    def changes(self, after: int) -> tuple[int, set[str]]:
        """The number of the last change there is, and the tasks that changed after another."""
        with self._database.reading() as connection:
            newer = select(CHANGES).where(CHANGES.c.revision > after)
            rows = connection.execute(newer).mappings().all()
        names = {row["task"] for row in rows if row["base"] == self._base}
        return max((row["revision"] for row in rows), default=after), names

    def digests(self) -> set[str]:
        """The digests of all versions of all tasks, whatever their base."""
        with self._database.reading() as connection:
            return set(connection.scalars(select(VERSIONS.c.digest)))

    def wait(self, closed: Event) -> None:
        """Wait until it is time to ask for changes, or `closed` is set."""
        self._database.wait(closed)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def _read(self, connection: Connection, name: str) -> Task:
        rows = _rows(connection, TASKS, base=self._base, name=name)
        versions = _rows(connection, VERSIONS, base=self._base, task=name)
        traffic = _rows(connection, TRAFFIC, base=self._base, task=name)
        return _task(rows[0], versions, traffic) if rows else Task(name)

    def _write(self, connection: Connection, before: Task, after: Task) -> None:
        mine = (TASKS.c.base == self._base) & (TASKS.c.name == after.name)
        connection.execute(delete(TASKS).where(mine))
        if after.versions:
            connection.execute(insert(TASKS).values(self._task_row(after)))
        if after.traffic != before.traffic:
            self._write_traffic(connection, after)
        # Versions never change: a number tells one.
        had = {each.number for each in before.versions}
        has = {each.number: each for each in after.versions}
        if gone := had - has.keys():
            mine = (VERSIONS.c.base == self._base) & (VERSIONS.c.task == after.name)
            connection.execute(delete(VERSIONS).where(mine & VERSIONS.c.number.in_(gone)))
        if come := [self._version_row(has[number]) for number in sorted(has.keys() - had)]:
            connection.execute(insert(VERSIONS), come)

    def _write_traffic(self, connection: Connection, task: Task) -> None:
        mine = (TRAFFIC.c.base == self._base) & (TRAFFIC.c.task == task.name)
        connection.execute(delete(TRAFFIC).where(mine))
        if task.traffic is not None:
            about = _TRAFFIC.dump_json(task.traffic).decode()
            row = sealed({"base": self._base, "task": task.name, "about": about})
            connection.execute(insert(TRAFFIC).values(row))

    def _task_row(self, task: Task) -> dict[str, Any]:
        return sealed(
            {
                "base": self._base,
                "name": task.name,
                "active": task.active,
                "aliases": json.dumps(dict(task.aliases)),
                "latest": task.latest,
                "changed": task.changed,
                "expires": task.expires,
            }
        )

    def _version_row(self, version: Version) -> dict[str, Any]:
        return sealed(
            {
                "base": self._base,
                "task": version.ref.task,
                "number": version.number,
                "digest": version.ref.digest,
                "about": _VERSION.dump_json(version).decode(),
            }
        )


def _rows(connection: Connection, table: Table, **key: str) -> list[_Row]:
    """The rows with a key, in the order of their keys."""
    wanted = select(table).filter_by(**key).order_by(*table.primary_key.columns)
    return [dict(row) for row in connection.execute(wanted).mappings()]


def _by_task(rows: Iterable[_Row]) -> dict[str, list[_Row]]:
    found: dict[str, list[_Row]] = {}
    for row in rows:
        found.setdefault(row["task"], []).append(row)
    return found


def _task(row: _Row, versions: Iterable[_Row], traffic: Iterable[_Row]) -> Task:
    """Read a task; raises RegistryUnavailable where it is not as it was written."""
    name = row["name"]
    read = tuple(version for each in versions if (version := _version(each)) is not None)
    numbers = {each.number for each in read}
    if not is_sound(row) or (row["active"] is not None and row["active"] not in numbers):
        _log.error("The task '%s' is damaged in the registry's database; it is not served.", name)
        raise RegistryUnavailable(
            f"The task '{name}' is damaged in the registry's database; have an operator restore it "
            "from a back-up."
        )
    aliases = {alias: n for alias, n in json.loads(row["aliases"]).items() if n in numbers}
    return Task(
        name=name,
        versions=read,
        active=row["active"],
        aliases=aliases,
        latest=row["latest"],
        changed=row["changed"],
        expires=row["expires"],
        traffic=next(filter(None, (_traffic(each, numbers) for each in traffic)), None),
    )


def _version(row: _Row) -> Version | None:
    """Read a version; None where it is not as it was written."""
    with suppress(ValidationError):
        if is_sound(row):
            return _VERSION.validate_json(row["about"])
    _log.error("Version %s of task '%s' is damaged in the registry.", row["number"], row["task"])
    return None


def _traffic(row: _Row, numbers: Iterable[int]) -> Traffic | None:
    """Read which of a task's versions share its traffic; None where it is not as it was written."""
    with suppress(ValidationError):
        if is_sound(row):
            return _TRAFFIC.validate_json(row["about"]).among(numbers)
    _log.error(
        "How versions of task '%s' share its traffic is damaged in the registry; the active one "
        "answers. Set it again.",
        row["task"],
    )
    return None
