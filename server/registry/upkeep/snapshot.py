"""Snapshots: a database as it is at one moment, to be looked at while servers go on."""

import sqlite3
import tempfile
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

from server.errors import RegistryUnavailable
from server.registry.catalogue.database import Database
from server.registry.catalogue.faults import opened
from server.registry.catalogue.sqlite import Sqlite


@contextmanager
def snapshot(path: Path) -> Generator[Database]:
    """A copy of a sound database with this release's tables, gone at the end.

    Raises RegistryUnavailable where there is none or it cannot be read, InvalidSettings if a later
    release wrote it.
    """
    if not path.exists():
        raise RegistryUnavailable(f"There is no registry {path}; name another --store.")
    with tempfile.TemporaryDirectory(prefix="polydelta-") as directory:
        copy = Path(directory) / path.name
        try:
            with closing(opened(path)) as source, closing(sqlite3.connect(copy)) as target:
                source.backup(target)
        except sqlite3.Error as error:
            raise RegistryUnavailable(f"{path} cannot be read: {error}.") from error
        database = Sqlite(copy)
        try:
            yield database
        finally:
            database.close()
