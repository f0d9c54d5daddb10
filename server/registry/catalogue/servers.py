"""Servers: which of those that share a registry can be reached, and where."""

import time

from sqlalchemy import delete, insert, select

from server.registry.catalogue.database import Database
from server.registry.catalogue.tables import SERVERS

_LIFE = 60.0
"""Seconds after its last sign of life for which a server is taken to live; clocks may differ."""


class Servers:
    """Addresses and when each was last told; thread-safe and blocking.

    Raises what Database raises.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def live(self, address: str) -> None:
        """Give a sign of life of the server at an address."""
        with self._database.transaction() as connection:
            connection.execute(delete(SERVERS).where(SERVERS.c.address == address))
            connection.execute(insert(SERVERS).values(address=address, seen=time.time()))

    def leave(self, address: str) -> None:
        """Tell that nobody is at an address any more."""
        with self._database.transaction() as connection:
            connection.execute(delete(SERVERS).where(SERVERS.c.address == address))

    def alive(self) -> set[str]:
        """The addresses of servers that lived lately."""
        with self._database.reading() as connection:
            lately = SERVERS.c.seen > time.time() - _LIFE
            return set(connection.scalars(select(SERVERS.c.address).where(lately)))
