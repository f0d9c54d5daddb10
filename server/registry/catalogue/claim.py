"""Claims: a store says which registry it is of, so that no other one has its blobs removed.

The registry's id is in its database, and in a file of each store whose blobs it names.
"""

from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from uuid import uuid4

from sqlalchemy import Connection, insert, select

from server.errors import InvalidSettings, RegistryUnavailable
from server.registry.catalogue.database import Database
from server.registry.catalogue.tables import IDENTITY, VERSIONS
from server.registry.layout import BLOBS, CLAIM, DAMAGED, digests_in
from server.registry.staging import storage_errors

_ASKED = 500
"""Digests that are asked for at once."""


class ClaimedDatabase:
    """A Database that answers only while it is the one that its store is of.

    Raises RegistryUnavailable besides where it is not, as when another file took its place.
    """

    def __init__(self, database: Database, store: Path) -> None:
        self._database = database
        self._store = store

    @property
    def own_file(self) -> bool:
        """Whether the database is a file of the store."""
        return self._database.own_file

    def claim(self, set_aside: Callable[[], None] = lambda: None) -> bool:
        """Have the store be of this registry; whether it was not before.

        Where that is new to the store and names none of its blobs, they are `set_aside` first, in
        the same step: whenever it is killed, blobs that no registry names are not claimed.
        Raises InvalidSettings where the store has blobs of another one.
        """
        with self._database.reading() as connection:
            if _id(connection) == claim_of(self._store) is not None:
                return False
        with self._database.transaction() as connection:
            known, told, blobs = _id(connection), claim_of(self._store), digests_in(self._store)
            if known is not None and told == known:
                return False
            new = True
            if told is not None and blobs:
                # A back-up of before there were ids, or what is left of a damaged file.
                ours = known is None and (bool(named(connection, blobs)) or self._is_mended)
                if not ours and (known is not None or not self.own_file):
                    raise InvalidSettings(_other(self._store))
                new = not ours
            if new and blobs and not named(connection, blobs):
                set_aside()
            self._claim(connection, known, told if blobs or self.own_file else None)
            return new

    def require(self) -> None:
        """Raise InvalidSettings where the store's blobs are of another registry, or may be.

        Those of a store that does not say so are this one's if it names any of them.
        """
        with self._database.reading() as connection:
            known, told, blobs = _id(connection), claim_of(self._store), digests_in(self._store)
            if not blobs or told == known is not None:
                return
            unsaid = told is None or known is None
            if not (unsaid and (named(connection, blobs) or self._is_mended)):
                raise InvalidSettings(_other(self._store))

    @contextmanager
    def transaction(self) -> Generator[Connection]:
        """Read and write in one step, alone; nothing is written if anything is raised."""
        with self._database.transaction() as connection:
            known = self._checked(connection)
            if known is None:
                if digests_in(self._store):
                    raise RegistryUnavailable(
                        "The registry's database is another one than a moment ago; try again."
                    )
                self._claim(connection, None, claim_of(self._store) if self.own_file else None)
            yield connection

    @contextmanager
    def reading(self) -> Generator[Connection]:
        """See one state of everything, waiting for nobody."""
        with self._database.reading() as connection:
            self._checked(connection)
            yield connection

    def tell(self, connection: Connection) -> None:
        """Have other servers look as soon as a transaction has ended well."""
        self._database.tell(connection)

    def wait(self, closed: Event) -> None:
        """Wait until it is time to look what others changed, or `closed` is set."""
        self._database.wait(closed)

    def close(self) -> None:
        """Close every connection."""
        self._database.close()

    def _checked(self, connection: Connection) -> str | None:
        known, told = _id(connection), claim_of(self._store)
        if known is not None and told not in (None, known):
            raise RegistryUnavailable(
                "The registry's database is not the one that the store is of, whose tasks are "
                "served while they are loaded; nothing can be changed. Have an operator put the "
                "right one in its place, or stop and serve this one with another --store."
            )
        return known

    @property
    def _is_mended(self) -> bool:
        return self.own_file and any(self._store.glob(f"{DAMAGED}*"))

    def _claim(self, connection: Connection, known: str | None, told: str | None) -> None:
        """Write the id into both; whoever waits for the transaction then sees both."""
        if known is None:
            # Whatever became of the store's own file, a back-up of it may be restored.
            known = told or uuid4().hex
            connection.execute(insert(IDENTITY).values(id=known))
        kind = _FILE if self.own_file else _SERVER
        with storage_errors():
            (self._store / CLAIM).write_text(f"{kind} {known}\n")


_FILE, _SERVER = "sqlite", "postgresql"


def claim_of(store: Path) -> str | None:
    """The id of the registry that a store is of, if it is of one."""
    return _told(store)[1]


def is_elsewhere(store: Path) -> bool:
    """Whether the registry that a store is of is in PostgreSQL."""
    return _told(store)[0] == _SERVER


def require_id(connection: Connection) -> None:
    """Raise RegistryUnavailable where no server has claimed the database since it was made."""
    if _id(connection) is None:
        raise RegistryUnavailable(
            "The registry's database is new or was emptied, so it cannot tell which deltas are "
            "needed, and none is removed. Look at --registry, restore a back-up, or start a server "
            "with it first."
        )


def named(connection: Connection, digests: Collection[str]) -> set[str]:
    """Those of some digests that a version of any task has, whatever its base."""
    wanted, found = list(digests), set[str]()
    for start in range(0, len(wanted), _ASKED):
        some = VERSIONS.c.digest.in_(wanted[start : start + _ASKED])
        found.update(connection.scalars(select(VERSIONS.c.digest).where(some)))
    return found


def _id(connection: Connection) -> str | None:
    return connection.scalar(select(IDENTITY.c.id))


def _told(store: Path) -> tuple[str, str | None]:
    try:
        kind, known = (store / CLAIM).read_text(errors="replace").split()
    except (OSError, ValueError):
        return "", None
    return kind, known


def _other(store: Path) -> str:
    return (
        f"The store {store} has the deltas of another registry's tasks, which this one would "
        "remove. Name the registry that it was used with (--registry), or restore its database, "
        f"or name another directory (--store). If they are not needed any more, move {BLOBS} away."
    )
