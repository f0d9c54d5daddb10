"""Keys in the database: added and revoked beside running servers, which follow."""

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, insert, select

from server.errors import Conflict, KeyNotFound
from server.registry.audit import OPERATOR
from server.registry.catalogue.audit import note
from server.registry.catalogue.database import Database
from server.registry.catalogue.named import Known, all_named
from server.registry.catalogue.tables import CHANGES, KEYS, NO_BASE, is_sound, sealed
from server.registry.keys import Key, KeyRing, Scope
from server.registry.names import SHARED, TaskName

_log = logging.getLogger(__name__)


class Keys:
    """The keys of a registry; thread-safe and blocking. Raises what Database raises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> Known[Key]:
        """Every key, revoked and expired ones until another takes the name."""
        with self._database.reading() as connection:
            return all_keys(connection)

    def ring(self) -> KeyRing:
        """What requests are held to: a damaged key opens nothing, and still one is required."""
        keys, damaged = self.all()
        return KeyRing(keys, required=bool(keys or damaged))

    def add(self, key: Key, by: str = OPERATOR) -> None:
        """Keep a key; raises Conflict where one of its name is in use, or damaged."""
        with self._database.transaction() as connection:
            known = _known(connection, key.name)
            if known is not None and known.is_good(time.time()):
                raise Conflict(f"There is a key '{key.name}' already; revoke it first.")
            self._write(connection, key, "add_key", by)

    def put(self, key: Key, *, replace: bool) -> Key | None:
        """Keep a key of another registry, and return what there was of its name.

        Raises Conflict where that is another and not to be replaced, was revoked, or is damaged, or
        where a key of another name opens the same.
        """
        with self._database.transaction() as connection:
            known = _known(connection, key.name)
            if known == key:
                return known
            if known is not None and known.revoked is not None:
                raise Conflict("It was revoked here, and stays so; add a key of another name.")
            if known is not None and not replace:
                raise Conflict(
                    "There is another key of this name; --replace puts this in its place."
                )
            twins = select(KEYS.c.name).where(KEYS.c.digest == key.digest, KEYS.c.name != key.name)
            if (twin := connection.scalar(twins)) is not None:
                raise Conflict(f"It is the key '{twin}', which has that name here.")
            self._write(connection, key, "add_key", OPERATOR)
            return known

    def revoke(self, name: str, by: str = OPERATOR) -> None:
        """Let a key be used no more, and remove it if it is damaged.

        Raises KeyNotFound if there is none of that name.
        """
        with self._database.transaction() as connection:
            row = _named(connection, name) or _shown(connection, name)
            if row is None:
                raise KeyNotFound(f"There is no key '{name}'; polydelta key ls shows all.")
            key = _read(row)
            if key is None:
                connection.execute(delete(KEYS).where(_is(row)))
                self._note(connection, SHARED, name, "revoke_key", by)
            else:
                revoked = replace(key, revoked=key.revoked or time.time())
                self._write(connection, revoked, "revoke_key", by)

    def _write(self, connection: Connection, key: Key, kind: str, by: str) -> None:
        connection.execute(delete(KEYS).filter_by(name=key.name))
        connection.execute(insert(KEYS).values(_row(key)))
        self._note(connection, key.tenant, key.name, kind, by)

    def _note(self, connection: Connection, tenant: str, name: str, kind: str, by: str) -> None:
        note(connection, TaskName(tenant, ""), kind, by, about=name)
        what = f"{kind} {name}"
        change = {"base": NO_BASE, "tenant": tenant, "task": "", "at": time.time(), "what": what}
        connection.execute(insert(CHANGES).values(change))
        self._database.tell(connection)


def all_keys(connection: Connection) -> Known[Key]:
    """Every key, revoked and expired ones until another takes the name."""
    return all_named(connection, KEYS, _read)


def _known(connection: Connection, name: str) -> Key | None:
    """The key of a name, if there is one; raises Conflict where it is damaged."""
    row = _named(connection, name)
    known = None if row is None else _read(row)
    if row is not None and known is None:
        raise Conflict(
            f"The key '{name}' is damaged in the registry; take it out first "
            f"(polydelta key revoke {name})."
        )
    return known


def _named(connection: Connection, name: str) -> Mapping[str, Any] | None:
    """A key's row, sound or not."""
    row = connection.execute(select(KEYS).filter_by(name=name)).mappings().first()
    return None if row is None else dict(row)


def _shown(connection: Connection, name: str) -> Mapping[str, Any] | None:
    """A damaged key's row by its name as it is shown, with other characters than it has."""
    rows = map(dict, connection.execute(select(KEYS)).mappings())
    return next((row for row in rows if str(row["name"]) == name), None)


def _is(row: Mapping[str, Any]) -> ColumnElement[bool]:
    """Whether a row is this one, by its name or, where that cannot be read, by its digest."""
    return (KEYS.c.name == row["name"]) | (KEYS.c.digest == row["digest"])


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
