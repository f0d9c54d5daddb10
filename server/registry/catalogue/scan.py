"""Scans: the rows of a damaged SQLite file, as far as SQLite gives them."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

Values: TypeAlias = tuple[Any, ...]

_SEEKS = 200_000
"""Places within damaged pages that are tried in all, which takes a few seconds."""


def rows(connection: sqlite3.Connection, table: str, last: int) -> Iterator[tuple[int, Values]]:
    """Each row that can be read, in order, with its rowid; pages that cannot are passed over.

    `last` is the greatest rowid known of: a damaged page is searched for its end no further.
    """
    after, seeks = 0, 0
    wanted = f"SELECT rowid, * FROM {table} NOT INDEXED WHERE rowid >= ? ORDER BY rowid"  # noqa: S608
    while seeks < _SEEKS and after <= last:
        # The driver reads a row ahead, and loses the one before a page that cannot be read.
        for query in (wanted, f"{wanted} LIMIT 1"):
            with suppress(sqlite3.Error, UnicodeDecodeError, MemoryError):
                for rowid, *values in connection.execute(query, (after + 1,)):
                    if rowid <= after:
                        # Out of order: this page is damaged.
                        break
                    after = rowid
                    yield rowid, tuple(values)
        after, seeks = after + 1, seeks + 1


def keys(connection: sqlite3.Connection, table: str, columns: Sequence[str]) -> dict[Values, int]:
    """The rowid that the index over some columns has for each key, from both ends of the index."""
    found: dict[Values, int] = {}
    for direction in ("ASC", "DESC"):
        met: set[Values] = set()
        order = ", ".join(f"{column} {direction}" for column in columns)
        wanted = f"SELECT rowid, {', '.join(columns)} FROM {table} ORDER BY {order}"  # noqa: S608
        with suppress(sqlite3.Error, UnicodeDecodeError, MemoryError):
            for rowid, *key in connection.execute(wanted):
                if tuple(key) in met:
                    # Damaged pages may lead back to others.
                    break
                met.add(tuple(key))
                found.setdefault(tuple(key), rowid)
    return found


def first(connection: sqlite3.Connection, query: str) -> Any:
    """The first value that a query gives, or None where it gives none or cannot be answered."""
    with suppress(sqlite3.Error, UnicodeDecodeError, MemoryError):
        return next((row[0] for row in connection.execute(query)), None)
    return None


def tables(connection: sqlite3.Connection) -> list[str]:
    """The names of all tables."""
    return [
        row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
    ]


def columns(connection: sqlite3.Connection, table: str) -> dict[str, bool]:
    """A table's columns in order, and whether each is part of its key; none if it is not there."""
    with suppress(sqlite3.Error, UnicodeDecodeError, MemoryError):
        told = connection.execute(f"PRAGMA table_info({table})")
        return {name: bool(key) for _, name, _, _, _, key in told}
    return {}
