"""The catalogue: which tasks there are, durably, for every server that shares a store."""

import math
import time
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from typing import TypeAlias

from sqlalchemy import ColumnElement, Connection, Table, bindparam, delete, func, insert, select

from server.errors import InsufficientStorage
from server.registry.audit import Act
from server.registry.catalogue.audit import Audit, note
from server.registry.catalogue.claim import named, require_id
from server.registry.catalogue.database import Database
from server.registry.catalogue.quotas import check_bytes, check_tasks
from server.registry.catalogue.rows import (
    Row,
    Rows,
    name_of,
    read_task,
    read_tasks,
    task_row,
    traffic_row,
    version_row,
)
from server.registry.catalogue.tables import CHANGES, NO_BASE, TASKS, TRAFFIC, VERSIONS
from server.registry.names import TaskName
from server.registry.task import Task, digests_of

_LOGGED = 100_000
"""Changes that are remembered, at least."""

Key: TypeAlias = tuple[str, TaskName]
"""A base's fingerprint and a task's name."""

Mark: TypeAlias = tuple[int, float]
"""A change: its number, and when it was made, by which it is told from one of another database."""

NO_CHANGE: Mark = (0, 0.0)

Edit: TypeAlias = Callable[[Task], Task]
"""Makes the next state of a task of the last one, or raises; a task without versions is none."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a task is after a change, and the digests of versions that it lost by it."""

    task: Task
    lost: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class News:
    """The last change there is, and what changed after another: tasks; whether keys or tenants did.

    Anything may have changed where `tasks` is None.
    """

    newest: Mark
    tasks: set[TaskName] | None
    access: bool


class Catalogue:
    """The tasks of one base, by its fingerprint; thread-safe and blocking.

    At most `max_tasks` of them answer, whichever servers they were put on, if that is given.
    Raises what Database raises.
    """

    def __init__(self, database: Database, base: str, max_tasks: int | None = None) -> None:
        self._database = database
        self.base = base
        self._max_tasks = max_tasks

    @property
    def audit(self) -> Audit:
        """Who changed what."""
        return Audit(self._database)

    def tasks(self) -> list[Task]:
        """Every task, removed ones that can still come back included; damaged ones are logged."""
        with self._database.reading() as connection:
            rows = _rows(connection, TASKS, base=self.base)
            versions = _rows(connection, VERSIONS, base=self.base)
            traffic = _rows(connection, TRAFFIC, base=self.base)
        return read_tasks(rows, versions, traffic)

    def task(self, name: TaskName) -> Task:
        """One task, without versions if there is none."""
        with self._database.reading() as connection:
            return read_task(name, self._rows(connection, name))

    def change(self, name: TaskName, act: Act, edit: Edit) -> Change:
        """Make a task what `edit` makes of it, in one step, of which the audit log tells by `act`.

        Nothing is written where
        `edit` leaves the task as it is. Raises RegistryUnavailable where it leaves it damaged,
        InsufficientStorage where it would be one too many that answers, or more than its tenant may
        have.
        """
        with self._database.transaction() as connection:
            rows = self._rows(connection, name)
            before = read_task(name, rows)
            after = edit(before)
            if after == before:
                return Change(before)
            if before.active is None and after.active is not None:
                self._check_place(connection, name)
            check_bytes(connection, self.base, before, after)
            lost = self._write(connection, before, after.whole(), rows)
            row = {**self._own(name), "task": name.name, "at": time.time(), "what": str(act)}
            revision = connection.scalar(insert(CHANGES).values(row).returning(CHANGES.c.revision))
            if revision and revision % _LOGGED == 0:
                connection.execute(delete(CHANGES).where(CHANGES.c.revision <= revision - _LOGGED))
            version = act.version(after)
            note(connection, name, act.kind, act.who, version=version, about=act.about)
            self._database.tell(connection)
        return Change(after, lost)

    def check_place(self, name: TaskName) -> None:
        """Raise InsufficientStorage where a task would be one too many that answers."""
        with self._database.reading() as connection:
            self._check_place(connection, name)

    def newest(self) -> Mark:
        """The last change there is."""
        with self._database.reading() as connection:
            return _newest(connection)

    def changes(self, after: Mark) -> News:
        """What changed after some change.

        That is not known where that one is not among those that are remembered: the database is
        not the one that it was, such as one restored from a back-up, or very much has changed.
        """
        with self._database.reading() as connection:
            newer = select(CHANGES).where(CHANGES.c.revision >= after[0])
            found = connection.execute(newer.order_by(CHANGES.c.revision)).mappings()
            rows = [dict(row) for row in found]
            newest = _newest(connection)
        if (_mark(rows[0]) if rows else NO_CHANGE) != after:
            return News(newest, None, access=True)
        later = rows[1:]
        tasks = {name_of(row, "task") for row in later if row["base"] == self.base}
        return News(newest, tasks, access=any(row["base"] == NO_BASE for row in later))

    def names(self) -> set[TaskName]:
        """The names of all tasks, removed ones included."""
        return {name for _, name in self._keys(TASKS.c.base == self.base)}

    def removed(self, until: float = math.inf) -> list[Key]:
        """Tasks of any base that were removed until some moment, the one removed first first."""
        return self._keys(TASKS.c.active.is_(None) & (TASKS.c.changed <= until))

    def expired(self, now: float) -> list[Key]:
        """Tasks of any base that answer and are past their time."""
        return self._keys(TASKS.c.active.is_not(None) & (TASKS.c.expires <= now))

    def needed(self, digests: Collection[str]) -> set[str]:
        """Those of some digests that a version of any task has, whatever its base.

        Raises RegistryUnavailable of a database without an id, which knows of no blob: it is new,
        or was emptied.
        """
        with self._database.reading() as connection:
            require_id(connection)
            return named(connection, digests)

    @contextmanager
    def still(self) -> Generator[Callable[[], None]]:
        """Have no server change anything meanwhile; it is to be short.

        What is given raises RegistryUnavailable once that holds no more.
        """
        with self._database.transaction() as connection:
            yield lambda: connection.execute(select(1)).close()

    def of(self, base: str) -> "Catalogue":
        """The tasks of another base in the same database."""
        return Catalogue(self._database, base, self._max_tasks)

    def wait(self, closed: Event) -> None:
        """Wait until it is time to ask for changes, or `closed` is set."""
        self._database.wait(closed)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def _keys(self, which: ColumnElement[bool]) -> list[Key]:
        wanted = select(TASKS.c.base, TASKS.c.tenant, TASKS.c.name).where(which)
        with self._database.reading() as connection:
            found = connection.execute(wanted.order_by(TASKS.c.changed))
            return [(row.base, TaskName(row.tenant, row.name)) for row in found]

    def _own(self, name: TaskName) -> dict[str, str]:
        """What the keys of a task's rows begin with."""
        return {"base": self.base, "tenant": name.tenant}

    def _rows(self, connection: Connection, name: TaskName) -> Rows:
        own = self._own(name)
        return Rows(
            _rows(connection, TASKS, **own, name=name.name),
            _rows(connection, VERSIONS, **own, task=name.name),
            _rows(connection, TRAFFIC, **own, task=name.name),
        )

    def _check_place(self, connection: Connection, name: TaskName) -> None:
        check_tasks(connection, self.base, name)
        if self._max_tasks is None:
            return
        other = (TASKS.c.tenant != name.tenant) | (TASKS.c.name != name.name)
        others = select(func.count()).where(TASKS.c.base == self.base, other)
        answering = others.where(TASKS.c.active.is_not(None))
        if (connection.scalar(answering) or 0) >= self._max_tasks:
            raise InsufficientStorage(
                f"The server holds {self._max_tasks} tasks, as many as it may. Remove one "
                "(polydelta task rm NAME), or have the operator raise --max-tasks."
            )

    def _write(
        self, connection: Connection, before: Task, after: Task, rows: Rows
    ) -> frozenset[str]:
        """Write a task in the place of what there is of it; return the digests that it loses."""
        # Versions never change, but one of an archive may replace another of its number. What
        # could not be read goes.
        had = {each.number: each for each in before.versions}
        has = {each.number: each for each in after.versions}
        kept = {number for number in had.keys() & has.keys() if had[number] == has[number]}
        gone = [row for row in rows.versions if row["number"] not in kept]
        own, name = self._own(after.name), after.name.name
        connection.execute(delete(TASKS).filter_by(**own, name=name))
        connection.execute(delete(TRAFFIC).filter_by(**own, task=name))
        if gone:
            mine = delete(VERSIONS).filter_by(**own, task=name)
            lost = mine.where(VERSIONS.c.number == bindparam("gone"))
            connection.execute(lost, [{"gone": row["number"]} for row in gone])
        if after.versions:
            connection.execute(insert(TASKS).values(task_row(self.base, after)))
        if after.traffic is not None:
            connection.execute(insert(TRAFFIC).values(traffic_row(self.base, after)))
        if come := [has[number] for number in sorted(has.keys() - kept)]:
            rows_of = [version_row(self.base, after.name, each) for each in come]
            connection.execute(insert(VERSIONS), rows_of)
        return frozenset(row["digest"] for row in gone) - digests_of(after)


def _newest(connection: Connection) -> Mark:
    wanted = select(CHANGES).order_by(CHANGES.c.revision.desc()).limit(1)
    rows = connection.execute(wanted).mappings().all()
    return _mark(dict(rows[0])) if rows else NO_CHANGE


def _mark(row: Row) -> Mark:
    return row["revision"], row["at"]


def _rows(connection: Connection, table: Table, **key: str) -> list[Row]:
    """The rows with a key, in the order of their keys."""
    wanted = select(table).filter_by(**key).order_by(*table.primary_key.columns)
    return [dict(row) for row in connection.execute(wanted).mappings()]
