"""Opening a store's registry, to look after both."""

from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

from server.registry.catalogue.claim import ClaimedDatabase
from server.registry.catalogue.opening import open_database, require_named
from server.registry.catalogue.sqlite import Sqlite
from server.registry.layout import DATABASE


@contextmanager
def opened(root: Path, url: str | None) -> Generator[ClaimedDatabase]:
    """The PostgreSQL database at a URL, or without one the file in the store, until the end.

    Raises InvalidSettings where the store is of another registry, and what Database raises.
    """
    require_named(url, root)
    # A file that is damaged is mended by servers alone.
    database = Sqlite(root / DATABASE) if url is None else open_database(url, root)
    with closing(ClaimedDatabase(database, root)) as claimed:
        claimed.require()
        yield claimed
