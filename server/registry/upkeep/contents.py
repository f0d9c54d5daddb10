"""Contents: what a database holds of all bases, and what of it is not as it was written."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, union

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
        with database.reading() as connection:
            rows = [dict(row) for row in connection.execute(select(VERSIONS)).mappings()]
        read = {base: Catalogue(database, base).tasks() for base in bases_of(database)}
        return cls(
            {base: tuple(t for t in found if not t.damaged) for base, found in read.items()},
            tuple(sorted(str(t.name) for found in read.values() for t in found if t.damaged)),
            tuple(sorted(_shown(row) for row in rows if not is_sound(row))),
            frozenset(row["digest"] for row in rows),
        )

    def all(self) -> Iterable[Task]:
        """Every sound task."""
        return (task for found in self.tasks.values() for task in found)


def _shown(row: Mapping[str, Any]) -> str:
    return f"{name_of(row, 'task')}@{row['number']}"


def bases_of(database: Database) -> list[str]:
    """The fingerprints of all bases that there are tasks of."""
    with database.reading() as connection:
        return sorted(connection.scalars(union(select(TASKS.c.base), select(VERSIONS.c.base))))
