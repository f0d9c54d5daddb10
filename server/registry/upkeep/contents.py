"""Contents: what a database holds of all bases, and what of it is not as it was written."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table, select

from server.registry.catalogue.catalogue import Catalogue
from server.registry.catalogue.database import Database
from server.registry.catalogue.rows import name_of
from server.registry.catalogue.tables import TASKS, VERSIONS, is_sound
from server.registry.task import Task


@dataclass(frozen=True, slots=True)
class Contents:
    """The sound tasks of each base, and the names of others: tasks, and versions as `spam@3`.

    `digests` are those of all versions, whatever becomes of their tasks.
    """

    tasks: Mapping[str, tuple[Task, ...]]
    damaged: tuple[str, ...]
    damaged_versions: tuple[str, ...]
    digests: frozenset[str]

    @classmethod
    def of(cls, database: Database) -> "Contents":
        """Read everything."""
        rows, versions = _rows(database, TASKS), _rows(database, VERSIONS)
        bases = sorted({row["base"] for row in rows})
        tasks = {base: _sound(database, base) for base in bases}
        sound = {(base, task.name) for base, found in tasks.items() for task in found}
        named = [(row["base"], name_of(row, "name")) for row in rows]
        return cls(
            tasks,
            tuple(sorted({str(name) for base, name in named if (base, name) not in sound})),
            tuple(sorted(_shown(row) for row in versions if not is_sound(row))),
            frozenset(row["digest"] for row in versions),
        )

    def all(self) -> Iterable[Task]:
        """Every sound task."""
        return (task for found in self.tasks.values() for task in found)


def _sound(database: Database, base: str) -> tuple[Task, ...]:
    return tuple(task for task in Catalogue(database, base).tasks() if not task.damaged)


def _shown(row: Mapping[str, Any]) -> str:
    return f"{name_of(row, 'task')}@{row['number']}"


def _rows(database: Database, table: Table) -> list[Mapping[str, Any]]:
    with database.reading() as connection:
        return [dict(row) for row in connection.execute(select(table)).mappings()]
