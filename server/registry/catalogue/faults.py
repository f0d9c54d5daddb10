"""Faults of a database's file, as SQLite itself tells them."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from server.errors import RegistryUnavailable
from server.registry.catalogue import scan
from server.registry.catalogue.migrate import HEAD, revisions
from server.registry.catalogue.tables import METADATA

_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_SHOWN = 20


def faults(path: Path) -> list[str]:
    """What is wrong with a database's file: nothing, or SQLite's own words for it.

    Looks at every page and every entry of an index, and changes nothing. Raises
    RegistryUnavailable where the file cannot be read at all.
    """
    try:
        with closing(opened(path)) as connection:
            told = [row[0] for row in connection.execute(f"PRAGMA integrity_check({_SHOWN})")]
            return told if told != ["ok"] else _unlike_its_revision(connection)
    except UnicodeDecodeError:
        # SQLite's own words name what it found, which may be no text.
        return ["its schema cannot be read"]
    except sqlite3.DatabaseError as error:
        if is_damage(error):
            return [str(error)]
        raise RegistryUnavailable(f"{path} cannot be read: {error}.") from error


def _unlike_its_revision(connection: sqlite3.Connection) -> list[str]:
    """Where names of tables or columns are damaged, which SQLite takes as they are."""
    found = {table: set(scan.columns(connection, table)) for table in scan.tables(connection)}
    revision = scan.first(connection, "SELECT version_num FROM alembic_version")
    expected = {table.name: set(table.columns.keys()) for table in METADATA.sorted_tables}
    fits = all(found.get(table) == columns for table, columns in expected.items())
    if revision == HEAD and not fits:
        return [f"its tables are not those of its revision {HEAD}"]
    if revision not in revisions() and (fits or (revision is None and found)):
        return [] if _is_later(revision) else ["its revision cannot be read"]
    return []


def _is_later(revision: object) -> bool:
    """Whether a revision may be of a later release, whose tables may be as ours are."""
    return re.fullmatch(r"\d{4}", str(revision)) is not None and str(revision) > HEAD


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error says that the file is damaged, and not merely in use or out of reach."""
    # The upper bytes of a code say more of where it was met.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE


def opened(path: Path) -> sqlite3.Connection:
    """Open a database to be read alone, beside whoever writes it."""
    connection = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True)
    connection.text_factory = lambda data: data.decode(errors="replace")
    return connection
