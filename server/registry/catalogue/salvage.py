"""Salvage: what is sound of a damaged database's file, told by the seals of its rows.

Nothing is guessed. A row counts where its seal holds and no index has another row in its place:
bytes that SQLite has freed may still be those of a row as it was once.
"""

import shutil
import sqlite3
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import create_engine

from server.registry.catalogue import scan
from server.registry.catalogue.migrate import migrate, revisions
from server.registry.catalogue.scan import Values
from server.registry.catalogue.tables import SEAL, is_sound
from server.registry.names import TaskName, is_plain

_HEADER = 100
"""Bytes before the first page's own content (https://sqlite.org/fileformat.html)."""

_PAGES = slice(28, 32)
"""Where the header has the number of pages."""

_PAGE_SIZE = slice(16, 18)
"""Where it has their size in bytes, which is the same in all files of one SQLite."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A sealed table: its columns, and the places among them of its key."""

    table: str
    columns: tuple[str, ...]
    key: tuple[int, ...]

    def key_of(self, values: Values) -> Values:
        """A row's key."""
        return tuple(values[place] for place in self.key)


@dataclass(frozen=True, slots=True)
class Salvage:
    """Sound rows by table, and the keys of rows that were there and are not sound.

    All are of the tables that this revision has.
    """

    revision: str
    rows: dict[Shape, list[Values]]
    lost: dict[Shape, set[Values]]

    @property
    def count(self) -> int:
        """The number of sound rows."""
        return sum(map(len, self.rows.values()))

    @property
    def names(self) -> list[str]:
        """What is lost, in words."""
        told = {_named(shape, key) for shape, keys in self.lost.items() for key in keys}
        # With a task go its versions.
        return sorted(name for name in told if name.partition("@")[0] not in told - {name})

    def fill(self, path: Path) -> None:
        """Write the sound rows into an empty database of the revision."""
        with closing(sqlite3.connect(path)) as connection, connection:
            for shape, rows in self.rows.items():
                marks = ", ".join("?" * len(shape.columns))
                into = f"INSERT INTO {shape.table} VALUES ({marks})"  # noqa: S608
                connection.executemany(into, rows)
            # Who follows the changes knows of more than are left: later ones get greater numbers.
            connection.execute(
                "INSERT INTO sqlite_sequence VALUES ('changes', ?)", (int(time.time()),)
            )


def salvage(path: Path, scratch: Path) -> Salvage:
    """Read what is sound of a file, its log included, from copies in a scratch directory."""
    copy = scratch / "copy.sqlite3"
    # Where the header alone is damaged, all else can be read behind another.
    attempts = [_attempt(path, copy, scratch, header) for header in (None, _header(path, scratch))]
    return max(attempts, key=lambda each: each.count)


def _named(shape: Shape, key: Values) -> str:
    """A row as those know it who put it: `spam`, or `spam@3` for a version."""
    told = {shape.columns[place]: value for place, value in zip(shape.key, key, strict=True)}
    name, number = told.get("name", told.get("task")), told.get("number")
    if not isinstance(name, str) or not is_plain(name):
        return f"a row of {shape.table} whose name cannot be read"
    tenant = told.get("tenant") or ""
    named = str(TaskName(tenant if is_plain(str(tenant)) else "", name))
    return named if number is None else f"{named}@{number}"


def _attempt(path: Path, copy: Path, scratch: Path, header: bytes | None) -> Salvage:
    for end in ("-wal", "-shm", ""):
        Path(f"{copy}{end}").unlink(missing_ok=True)
    # The log first: what is moved from there into the file meanwhile is then in both.
    for end in ("-wal", ""):
        if Path(f"{path}{end}").exists():
            shutil.copyfile(f"{path}{end}", f"{copy}{end}")
    if header is not None:
        with copy.open("r+b") as file:
            file.write(header)
    with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        # What cannot be read of the schema is passed over.
        connection.execute("PRAGMA writable_schema = ON")
        connection.text_factory = lambda data: data.decode(errors="replace")
        revision = _revision(connection, scratch)
        found = Salvage(revision, {}, {})
        for shape in _shapes(scratch, revision):
            found.rows[shape], found.lost[shape] = _sift(connection, shape)
    return found


def _sift(connection: sqlite3.Connection, shape: Shape) -> tuple[list[Values], set[Values]]:
    """The sound rows of a table, and the keys of others."""
    indexed = scan.keys(connection, shape.table, [shape.columns[place] for place in shape.key])
    greatest = scan.first(connection, f"SELECT max(rowid) FROM {shape.table}")  # noqa: S608
    last = max((greatest or 0, *indexed.values()))
    sound: dict[Values, Values] = {}
    others = set(indexed)
    for rowid, values in scan.rows(connection, shape.table, last):
        if len(values) != len(shape.columns):
            continue
        key = shape.key_of(values)
        whole = is_sound(dict(zip(shape.columns, values, strict=True)))
        if whole and indexed.get(key, rowid) == rowid and key not in sound:
            sound[key] = values
        else:
            others.add(key)
            # Of two that claim to be the same, without an index, neither counts.
            if whole and key not in indexed:
                sound.pop(key, None)
    return list(sound.values()), others - sound.keys()


def _revision(connection: sqlite3.Connection, scratch: Path) -> str:
    """The revision that a file tells or, if that is none, the newest that its tables fit."""
    told = scan.first(connection, "SELECT version_num FROM alembic_version")
    known = revisions()
    if told in known:
        return told
    fits = (revision for revision in known if _fits(connection, _shapes(scratch, revision)))
    return next(fits, known[0])


def _fits(connection: sqlite3.Connection, shapes: Iterable[Shape]) -> bool:
    told = ((shape, scan.columns(connection, shape.table)) for shape in shapes)
    return all(tuple(found) in ((), shape.columns) for shape, found in told)


def _shapes(scratch: Path, revision: str) -> list[Shape]:
    """The sealed tables of a revision."""
    with closing(sqlite3.connect(empty(scratch, revision))) as connection:
        tables = scan.tables(connection)
        found = {table: scan.columns(connection, table) for table in tables}
    return [
        Shape(
            table, tuple(columns), tuple(place for place, key in enumerate(columns.values()) if key)
        )
        for table, columns in found.items()
        if SEAL in columns
    ]


def empty(scratch: Path, revision: str) -> Path:
    """A database in a scratch directory, with the tables of some revision."""
    path = scratch / f"{revision}.sqlite3"
    if not path.exists():
        engine = create_engine(f"sqlite:///{path}")
        with engine.begin() as connection:
            migrate(connection, revision)
        engine.dispose()
    return path


def _header(path: Path, scratch: Path) -> bytes:
    """A sound header for a file of its size."""
    with empty(scratch, revisions()[0]).open("rb") as file:
        header = bytearray(file.read(_HEADER))
    page = int.from_bytes(header[_PAGE_SIZE], "big")
    header[_PAGES] = (path.stat().st_size // page).to_bytes(4, "big")
    return bytes(header)
