"""Contents: what a database holds of all bases, and what of it is not as it was written."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, Table, select

from server.registry.catalogue.keys import all_keys
from server.registry.catalogue.rows import Row, name_of, read_tasks
from server.registry.catalogue.tables import TASKS, TRAFFIC, VERSIONS, is_sound
from server.registry.catalogue.tenants import all_tenants
from server.registry.keys import Key
from server.registry.task import Task
from server.registry.tenant import Tenant


@dataclass(frozen=True, slots=True)
class Contents:
    """The sound tasks of each base, and the names of others: tasks, and versions as `spam@3`.

    `digests` are those of all versions, whatever becomes of their tasks. Of keys and tenants the
    sound ones, and the names of others, in order.
    """

    tasks: Mapping[str, tuple[Task, ...]]
    damaged: tuple[str, ...]
    damaged_versions: tuple[str, ...]
    digests: frozenset[str]
    keys: tuple[Key, ...] = ()
    tenants: tuple[Tenant, ...] = ()
    damaged_keys: tuple[str, ...] = ()
    damaged_tenants: tuple[str, ...] = ()

    @classmethod
    def of(cls, connection: Connection) -> "Contents":
        """Read everything."""
        tasks, versions, traffic = (_rows(connection, each) for each in (TASKS, VERSIONS, TRAFFIC))
        read = {
            base: read_tasks(tasks[base], versions[base], traffic[base])
            for base in sorted(tasks.keys() | versions.keys())
        }
        rows = [row for of_base in versions.values() for row in of_base]
        keys, damaged_keys = all_keys(connection)
        tenants, damaged_tenants = all_tenants(connection)
        return cls(
            {base: tuple(t for t in found if not t.damaged) for base, found in read.items()},
            tuple(sorted(str(t.name) for found in read.values() for t in found if t.damaged)),
            tuple(sorted(_shown(row) for row in rows if not is_sound(row))),
            frozenset(row["digest"] for row in rows),
            tuple(sorted(keys, key=lambda key: key.name)),
            tuple(sorted(tenants, key=lambda tenant: tenant.name)),
            tuple(damaged_keys),
            tuple(damaged_tenants),
        )

    def all(self) -> Iterable[Task]:
        """Every sound task."""
        return (task for found in self.tasks.values() for task in found)


def _rows(connection: Connection, table: Table) -> defaultdict[str, list[Row]]:
    """All rows by their base, in the order of their keys."""
    found: defaultdict[str, list[Row]] = defaultdict(list)
    wanted = select(table).order_by(*table.primary_key.columns)
    for row in connection.execute(wanted).mappings():
        found[row["base"]].append(dict(row))
    return found


def _shown(row: Row) -> str:
    return f"{name_of(row, 'task')}@{row['number']}"
