"""The registry's database, for commands that work beside servers or without any."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from server.user_directories import user_store

if TYPE_CHECKING:
    from server.registry.catalogue.database import Database


@contextmanager
def opened(store: Path | None, registry: str | None) -> "Generator[Database]":
    """The database of a store, or of servers on many machines, until the end."""
    from server.registry.catalogue.opening import open_database

    database = open_database(registry, store or user_store())
    try:
        yield database
    finally:
        database.close()
