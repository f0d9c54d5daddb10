"""Keys in the database: added and revoked beside running servers, which follow."""

import json
import logging
import time
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from server.errors import Conflict, TaskNotFound
from server.registry.catalogue.database import Database
from server.registry.catalogue.tables import CHANGES, KEYS, is_sound, sealed
from server.registry.keys import Key, KeyRing, Scope

_log = logging.getLogger(__name__)

NO_BASE = ""
"""In place of a base's fingerprint, in changes of what is of no base."""


class Keys:
    """The keys of a registry; thread-safe and blocking. Raises what Database raises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[Key]:
        """Every key there ever was, by name; damaged ones are logged and left out."""
        return [key for row in self._rows() if (key := _read(row)) is not None]

    def ring(self) -> KeyRing:
        """What requests are held to: a damaged key opens nothing, and still one is required."""
        rows = self._rows()
        keys = (_read(row) for row in rows)
        return KeyRing((key for key in keys if key is not None), required=bool(rows))

    def add(self, key: Key) -> None:
        """Keep a key; raises Conflict where one of its name is in use."""
        with self._database.transaction() as connection:
            known = self._named(connection, key.name)
            if known is not None and known.is_good(time.time()):
                raise Conflict(f"There is a key '{key.name}' already; revoke it first.")
            self._write(connection, key, "added")

    def revoke(self, name: str) -> None:
        """Let a key be used no more; raises TaskNotFound if there is none of that name."""
        with self._database.transaction() as connection:
            key = self._named(connection, name)
            if key is None:
                raise TaskNotFound(f"There is no key '{name}'; polydelta key ls shows all.")
            revoked = Key(
                key.name,
                key.tenant,
                key.scopes,
                key.digest,
                key.created,
                key.expires,
                key.revoked or time.time(),
            )
            self._write(connection, revoked, "revoked")

    def _rows(self) -> list[Mapping[str, Any]]:
        with self._database.reading() as connection:
            read = connection.execute(select(KEYS).order_by(KEYS.c.name)).mappings()
            return [dict(row) for row in read]

    def _named(self, connection: Connection, name: str) -> Key | None:
        row = connection.execute(select(KEYS).filter_by(name=name)).mappings().first()
        return None if row is None else _read(dict(row))

    def _write(self, connection: Connection, key: Key, what: str) -> None:
        connection.execute(delete(KEYS).filter_by(name=key.name))
        connection.execute(insert(KEYS).values(_row(key)))
        change = {"base": NO_BASE, "tenant": key.tenant, "task": "", "at": time.time()}
        connection.execute(insert(CHANGES).values({**change, "what": f"key {key.name} {what}"}))
        self._database.tell(connection)


def _row(key: Key) -> dict[str, Any]:
    return sealed(
        {
            "name": key.name,
            "tenant": key.tenant,
            "scopes": json.dumps(sorted(key.scopes)),
            "digest": key.digest,
            "created": key.created,
            "expires": key.expires,
            "revoked": key.revoked,
        }
    )


def _read(row: Mapping[str, Any]) -> Key | None:
    if not is_sound(row):
        _log.error("The key '%s' is damaged in the registry; it opens nothing.", row["name"])
        return None
    return Key(
        row["name"],
        row["tenant"],
        frozenset(Scope(each) for each in json.loads(row["scopes"])),
        row["digest"],
        row["created"],
        row["expires"],
        row["revoked"],
    )
