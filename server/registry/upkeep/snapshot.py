"""Snapshots: a registry as it is at one moment, to be looked at while servers go on."""

import sqlite3
import tempfile
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import Connection

from server.errors import RegistryUnavailable
from server.registry.catalogue.faults import opened as opened_file
from server.registry.catalogue.opening import require_named
from server.registry.catalogue.sqlite import Sqlite
from server.registry.layout import DATABASE
from server.registry.upkeep.opening import opened


@contextmanager
def snapshot(root: Path, url: str | None) -> Generator[Connection]:
    """One state of a store's registry, in PostgreSQL at a URL or without one in the store's file.

    Raises RegistryUnavailable where there is none or it cannot be read, InvalidSettings if a later
    release wrote it, or the store is of another one.
    """
    require_named(url, root)
    if url is None:
        with _copy(root / DATABASE) as connection:
            yield connection
    else:
        with opened(root, url) as database, database.reading() as connection:
            yield connection


@contextmanager
def _copy(path: Path) -> Generator[Connection]:
    """A copy of a sound database's file with this release's tables, gone at the end."""
    if not path.exists():
        raise RegistryUnavailable(f"There is no registry {path}; name another --store.")
    with tempfile.TemporaryDirectory(prefix="polydelta-") as directory:
        copy = Path(directory) / path.name
        try:
            with closing(opened_file(path)) as source, closing(sqlite3.connect(copy)) as target:
                source.backup(target)
        except sqlite3.Error as error:
            raise RegistryUnavailable(f"{path} cannot be read: {error}.") from error
        with closing(Sqlite(copy)) as database, database.reading() as connection:
            yield connection
