"""SQLite: a database beside the deltas' files, for servers that share a store."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import DBAPIError

from server.errors import InsufficientStorage, RegistryUnavailable
from server.registry.catalogue.migrate import is_current, migrate

_PATIENCE = 10
"""Seconds that a transaction waits for another process's."""

_EVERY = 0.25
"""Seconds between looks: whatever another server changes is seen here well within one."""

_UNWRITABLE = ("disk is full", "disk I/O error", "readonly database", "unable to open")


class Sqlite:
    """One file as a Database."""

    own_file = True

    def __init__(self, path: Path) -> None:
        self.path = path
        self._engine = create_engine(
            f"sqlite:///{path}", connect_args={"timeout": _PATIENCE}, max_overflow=-1
        )
        event.listen(self._engine, "connect", _prepare)
        event.listen(self._engine, "begin", _begin)
        self._file: tuple[int, int] | None = None
        with _told():
            self._ensure()

    @contextmanager
    def transaction(self) -> Generator[Connection]:
        """Read and write in one step, alone; nothing is written if anything is raised."""
        with _told():
            while True:
                self._ensure()
                with self._engine.begin() as connection:
                    # Whoever held it before may have put another file in its place.
                    if _identity(self.path) == self._file:
                        yield connection
                        return

    @contextmanager
    def reading(self) -> Generator[Connection]:
        """See one state of everything, waiting for nobody."""
        with _told():
            self._ensure()
            with self._engine.connect().execution_options(read_only=True) as connection:
                yield connection

    def tell(self, connection: Connection) -> None:
        """Nothing: who shares the file looks at it often."""

    def wait(self, closed: Event) -> None:
        """Wait a little, since nobody tells."""
        closed.wait(_EVERY)

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def _ensure(self) -> None:
        """Make the file where there is none, even where someone has removed it meanwhile."""
        if self._file is not None and self._file == _identity(self.path):
            return
        self._engine.dispose()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._engine.begin() as connection:
            if not is_current(connection):
                migrate(connection)
        self._file = _identity(self.path)


@contextmanager
def _told() -> Generator[None]:
    """Say of an error of the database what it means for whoever changes tasks."""
    try:
        yield
    except OSError as error:
        raise InsufficientStorage(f"The registry cannot be written: {error.strerror}.") from error
    except DBAPIError as error:
        reason = str(error.orig)
        if any(each in reason for each in _UNWRITABLE):
            raise InsufficientStorage(f"The registry cannot be written: {reason}.") from error
        raise RegistryUnavailable(
            f"The registry's database cannot be used ({reason}). Tasks that are loaded are served; "
            "nothing can be changed until it can, or is restored from a back-up."
        ) from error


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _prepare(connection: Any, _: object) -> None:
    # The driver is not to begin transactions of its own: `_begin` does.
    connection.isolation_level = None
    # A damaged text is one row's fault, which its seal tells, and none of the whole query's.
    connection.text_factory = lambda data: data.decode(errors="replace")
    # What is deleted is overwritten: a damaged page gives no row as it was once.
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("PRAGMA journal_mode = WAL")
    # In this mode a commit is on disk before it returns.
    connection.execute("PRAGMA synchronous = FULL")


def _begin(connection: Connection) -> None:
    reads = connection.get_execution_options().get("read_only", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")
