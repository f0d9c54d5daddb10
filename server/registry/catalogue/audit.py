"""The audit log in the database: written with each change, read by operators and admins."""

import time
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select

from server.registry.audit import Entry
from server.registry.catalogue.database import Database
from server.registry.catalogue.tables import AUDIT, is_sound, sealed
from server.registry.names import TaskName
from server.registry.tally import DONE


class Audit:
    """All that was done to a registry; thread-safe and blocking. Raises what Database raises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def entries(
        self,
        limit: int,
        *,
        before: int | None = None,
        tenant: str | None = None,
        task: TaskName | None = None,
        since: float | None = None,
    ) -> list[Entry]:
        """At most so many entries, the newest first: of one tenant or task, of a time.

        Those that are damaged are left out.
        """
        wanted = select(AUDIT).order_by(AUDIT.c.number.desc()).limit(limit)
        if before is not None:
            wanted = wanted.where(AUDIT.c.number < before)
        if tenant is not None:
            wanted = wanted.where(AUDIT.c.tenant == tenant)
        if task is not None:
            wanted = wanted.where(AUDIT.c.tenant == task.tenant, AUDIT.c.task == task.name)
        if since is not None:
            wanted = wanted.where(AUDIT.c.at >= since)
        with self._database.reading() as connection:
            rows = [dict(row) for row in connection.execute(wanted).mappings()]
        return [_entry(row) for row in rows if is_sound(row)]

    def refused(self, name: TaskName, kind: str, who: str, code: str, about: str = "") -> None:
        """Note what somebody wanted done to a task, a key or limits, and was refused."""
        with self._database.transaction() as connection:
            note(connection, name, kind, who, about=about, outcome=code)

    def forget(self, until: float) -> None:
        """Remove entries that are as old; waits for nobody where there are none."""
        old = AUDIT.c.at <= until
        with self._database.reading() as connection:
            if connection.execute(select(AUDIT.c.number).where(old).limit(1)).first() is None:
                return
        with self._database.transaction() as connection:
            connection.execute(delete(AUDIT).where(old))


def note(
    connection: Connection,
    name: TaskName,
    kind: str,
    who: str,
    *,
    version: int | None = None,
    about: str = "",
    outcome: str = DONE,
) -> None:
    """Write an entry, in the transaction of what it tells of."""
    # Transactions are alone, so that no two take one number.
    last = connection.scalar(select(func.max(AUDIT.c.number))) or 0
    row = {
        "number": last + 1,
        "at": time.time(),
        "who": who,
        "kind": kind,
        "tenant": name.tenant,
        "task": name.name,
        "version": version,
        "about": about,
        "outcome": outcome,
    }
    connection.execute(insert(AUDIT).values(sealed(row)))


def _entry(row: Mapping[str, Any]) -> Entry:
    return Entry(
        row["number"],
        row["at"],
        row["who"],
        row["kind"],
        TaskName(row["tenant"], row["task"]),
        row["version"],
        row["about"],
        row["outcome"],
    )
