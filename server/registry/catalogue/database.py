"""Databases: what the catalogue asks of one, whichever it is."""

from contextlib import AbstractContextManager
from threading import Event
from typing import Protocol

from sqlalchemy import Connection


class Database(Protocol):
    """Transactions that are durable once they end; thread-safe, and safe beside other processes.

    Raises RegistryUnavailable where it cannot be used, InsufficientStorage where it has no room,
    InvalidSettings where a newer release wrote it.
    """

    @property
    def own_file(self) -> bool:
        """Whether it is a file of the store, and not elsewhere."""
        ...

    def transaction(self) -> AbstractContextManager[Connection]:
        """Read and write in one step, alone; nothing is written if anything is raised."""
        ...

    def reading(self) -> AbstractContextManager[Connection]:
        """See one state of everything, waiting for nobody."""
        ...

    def tell(self, connection: Connection) -> None:
        """Have other servers look as soon as a transaction has ended well."""
        ...

    def wait(self, closed: Event) -> None:
        """Wait until it is time to look what others changed, or `closed` is set.

        That is so often that whatever they change is seen within a second.
        """
        ...

    def close(self) -> None:
        """Close every connection."""
        ...
