"""Tables whose rows are each of one name: what can be read of them, and which are damaged."""

from collections.abc import Callable, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

from sqlalchemy import Connection, Table, select

T = TypeVar("T")


class Known(NamedTuple, Generic[T]):
    """All that a table has, by name, and the names of rows that are damaged."""

    sound: list[T]
    damaged: list[str]


def all_named(
    connection: Connection, table: Table, read: Callable[[Mapping[str, Any]], T | None]
) -> Known[T]:
    """Everything in a table; `read` gives None for a row that is damaged."""
    rows = map(dict, connection.execute(select(table).order_by(table.c.name)).mappings())
    known = Known[T]([], [])
    for row in rows:
        found = read(row)
        if found is None:
            known.damaged.append(str(row["name"]))
        else:
            known.sound.append(found)
    return known
