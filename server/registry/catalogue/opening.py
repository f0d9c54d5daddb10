"""Opening the database that the settings name."""

from pathlib import Path

from sqlalchemy.exc import ArgumentError

from server.errors import InvalidSettings, RegistryUnavailable
from server.registry.catalogue.claim import is_elsewhere
from server.registry.catalogue.database import Database
from server.registry.catalogue.mend import sound
from server.registry.layout import DATABASE


def open_database(url: str | None, store: Path) -> Database:
    """The PostgreSQL database at a URL, or without one the file in the store.

    Raises InvalidSettings, which tells nothing of the URL, and what Database raises.
    """
    require_named(url, store)
    if url is None:
        return sound(store / DATABASE)
    try:
        # Only who has such a registry needs its driver.
        from server.registry.catalogue.postgres import Postgres
    except ImportError as error:
        raise InvalidSettings(
            "A registry in PostgreSQL needs its driver: pip install 'polydelta[postgres]'."
        ) from error
    try:
        return Postgres(url)
    except (ArgumentError, ValueError):
        raise InvalidSettings(
            "The registry's address cannot be read; write postgresql://USER@HOST/DATABASE, and "
            "give the password in PGPASSWORD or ~/.pgpass."
        ) from None
    except RegistryUnavailable:
        raise InvalidSettings(
            "The registry's database cannot be opened; the line above says why. Look at "
            "--registry, at the password (PGPASSWORD, ~/.pgpass), and whether the database runs."
        ) from None


def require_named(url: str | None, store: Path) -> None:
    """Raise InvalidSettings where a store is of a registry of the other sort than is named."""
    if url is None and is_elsewhere(store):
        raise InvalidSettings(
            f"The tasks of the store {store} are in a registry in PostgreSQL: name that "
            "(--registry postgresql://USER@HOST/DATABASE), or another directory (--store)."
        )
    if url is not None and (store / DATABASE).exists():
        raise InvalidSettings(
            f"The tasks of the store {store} are in its own registry, {DATABASE}; with another one "
            "(--registry) their deltas would be of no task. Name another directory (--store)."
        )
