"""Tenants in the database: limits set beside running servers, which follow."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Connection, delete, insert, select

from server.registry.audit import OPERATOR
from server.registry.catalogue.audit import note
from server.registry.catalogue.database import Database
from server.registry.catalogue.named import Known, all_named
from server.registry.catalogue.tables import CHANGES, NO_BASE, TENANTS, is_sound, sealed
from server.registry.names import TaskName
from server.registry.tenant import Tenant

_log = logging.getLogger(__name__)

_TENANT = TypeAdapter(Tenant)


class Tenants:
    """The tenants of a registry; thread-safe and blocking. Raises what Database raises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[Tenant]:
        """Every tenant for whom something was set, by name; damaged ones are logged, left out."""
        with self._database.reading() as connection:
            return all_tenants(connection).sound

    def change(self, name: str, edit: Callable[[Tenant], Tenant], by: str = OPERATOR) -> Tenant:
        """Make of a tenant, in one step, what `edit` makes of it; returns what it is then."""
        with self._database.transaction() as connection:
            after = edit(tenant_of(connection, name))
            about = _TENANT.dump_json(after).decode()
            connection.execute(delete(TENANTS).filter_by(name=name))
            connection.execute(insert(TENANTS).values(sealed({"name": name, "about": about})))
            change = {"base": NO_BASE, "tenant": name, "task": "", "at": time.time()}
            connection.execute(insert(CHANGES).values({**change, "what": "limits set"}))
            note(connection, TaskName(name, ""), "set_limits", by)
            self._database.tell(connection)
        return after


def all_tenants(connection: Connection) -> Known[Tenant]:
    """Every tenant for whom something was set."""
    return all_named(connection, TENANTS, _read)


def tenant_of(connection: Connection, name: str) -> Tenant:
    """What a tenant may use; without limits if nothing was set, or if its row is damaged."""
    row = connection.execute(select(TENANTS).filter_by(name=name)).mappings().first()
    return (None if row is None else _read(dict(row))) or Tenant(name)


def _read(row: Mapping[str, Any]) -> Tenant | None:
    if not is_sound(row):
        _log.error(
            "The limits of tenant '%s' are damaged in the registry; none hold until they are set "
            "again (polydelta tenant set).",
            row["name"],
        )
        return None
    return _TENANT.validate_json(row["about"])
