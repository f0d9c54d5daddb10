"""PostgreSQL: one database for servers on many machines."""

import logging
from collections.abc import Generator
from contextlib import contextmanager
from threading import Event

import psycopg
from sqlalchemy import URL, Connection, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

from server.errors import InsufficientStorage, RegistryUnavailable
from server.registry.catalogue.migrate import is_current, migrate

_log = logging.getLogger(__name__)

_CHANNEL = "polydelta"

_EVERY = 0.5
"""Seconds between looks where no server tells of a change."""

_ALONE = (
    # A server that stands still must not stop the others.
    "SET LOCAL lock_timeout = '10s'",
    "SET LOCAL idle_in_transaction_session_timeout = '10s'",
    # One after another for all tasks: so changes become visible in the order of their numbers, and
    # whoever has seen one has seen all before it. The number is this lock's name.
    "SELECT pg_advisory_xact_lock(8097)",
)

_CONNECTION = {
    "application_name": "polydelta",
    "connect_timeout": "5",
    # A machine that is gone is noticed within seconds.
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
"""What the URL's own query may say otherwise."""

_FULL = ("53100", "53200")
"""SQLSTATE: there is no disk, or no memory."""


class Postgres:
    """A database as a Database. Its URL, and so its password, appears nowhere else."""

    own_file = False

    def __init__(self, url: str) -> None:
        self._url = _completed(make_url(url))
        self._engine = create_engine(
            self._url, pool_pre_ping=True, max_overflow=-1, hide_parameters=True
        )
        self._said = ""
        self._listening: psycopg.Connection | None = None
        with self._told(), self._alone() as connection:
            if not is_current(connection):
                migrate(connection)

    @contextmanager
    def transaction(self) -> Generator[Connection]:
        """Read and write in one step, alone; nothing is written if anything is raised."""
        with self._told(), self._alone() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Generator[Connection]:
        """See one state of everything, waiting for nobody."""
        with self._told(), self._engine.connect() as connection:
            connection.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
            yield connection

    def tell(self, connection: Connection) -> None:
        """Have other servers look as soon as a transaction has ended well."""
        connection.execute(text(f"NOTIFY {_CHANNEL}"))

    def wait(self, closed: Event) -> None:
        """Wait for word of a change, at most half a second."""
        try:
            if self._listening is None:
                self._listening = self._listen()
            for _ in self._listening.notifies(timeout=_EVERY, stop_after=1):
                pass
        except psycopg.Error:
            self._hang_up()
            closed.wait(_EVERY)

    def close(self) -> None:
        """Close every connection."""
        self._hang_up()
        self._engine.dispose()

    @contextmanager
    def _alone(self) -> Generator[Connection]:
        with self._engine.begin() as connection:
            for statement in _ALONE:
                connection.exec_driver_sql(statement)
            yield connection

    @contextmanager
    def _told(self) -> Generator[None]:
        """Say of an error of the database what it means for whoever changes tasks.

        What the driver says of it names hosts and users, which is for the log alone, and once.
        """
        try:
            yield
            self._said = ""
        except DBAPIError as error:
            reason = " ".join(str(error.orig).split())
            if reason != self._said:
                self._said = reason
                _log.error("The registry's database: %s", reason)
            if getattr(error.orig, "sqlstate", None) in _FULL:
                raise InsufficientStorage(
                    "The registry cannot be written: its database has no room. Have an operator "
                    "give it more."
                ) from None
            raise RegistryUnavailable(
                "The registry's database cannot be used just now. Tasks that are loaded are "
                "served; nothing can be changed until it can. Try again shortly."
            ) from None

    def _listen(self) -> psycopg.Connection:
        _, arguments = self._engine.dialect.create_connect_args(self._url)
        connection = psycopg.connect(**arguments, autocommit=True)
        connection.execute(f"LISTEN {_CHANNEL}")
        return connection

    def _hang_up(self) -> None:
        if self._listening is not None:
            self._listening.close()
            self._listening = None


def _completed(url: URL) -> URL:
    """A URL with the driver and whatever its query leaves open."""
    url = url.set(drivername="postgresql+psycopg")
    return url.update_query_dict({**_CONNECTION, **url.query})
