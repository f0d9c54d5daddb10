"""Mending: a damaged database's file is kept aside, and what is sound of it takes its place."""

import logging
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from server.registry.catalogue.faults import faults
from server.registry.catalogue.salvage import Salvage, empty, salvage
from server.registry.catalogue.sqlite import Sqlite
from server.registry.catalogue.tables import KEYS
from server.registry.directory import DirectoryLock, sync
from server.registry.layout import DAMAGED, KEYED
from server.registry.staging import storage_errors

_log = logging.getLogger(__name__)

_WORK = "mending-"


def sound(path: Path) -> Sqlite:
    """Open a store's own database, after `mend`."""
    mend(path)
    return Sqlite(path)


def mend(path: Path) -> None:
    """Put what is sound of a database in its place, if it is damaged; log what is lost.

    Whenever it is killed, the damaged file is there, in its place or aside. Raises
    RegistryUnavailable, InsufficientStorage.
    """
    if not path.exists() or not faults(path):
        return
    with _alone(path.parent), _unchanging(path):
        # Another server may have been faster.
        told = faults(path)
        if not told:
            return
        with storage_errors(), _scratch(path.parent) as work:
            aside = _set_aside(path)
            found = salvage(aside, work)
            _require_keys(found, path.parent)
            new = empty(work, found.revision)
            found.fill(new)
            _put(new, path)
    _tell(path, aside, told[0], found)


def _require_keys(found: Salvage, root: Path) -> None:
    """Let nobody in without a key because all keys are lost."""
    if any(lost for shape, lost in found.lost.items() if shape.table == KEYS.name):
        (root / KEYED).touch()


@contextmanager
def _scratch(root: Path) -> Generator[Path]:
    """A directory in the store, and none of a mending that was killed."""
    for left in root.glob(f"{_WORK}*"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=_WORK, dir=root) as work:
        yield Path(work)


def _set_aside(path: Path) -> Path:
    """Give a file and its log a second name each, unless a mending that was killed has done so."""
    for aside in path.parent.glob(f"{DAMAGED}*{path.suffix}"):
        if aside.samefile(path):
            return aside
    now = time.strftime("%Y%m%d-%H%M%S")
    aside = path.with_name(f"{DAMAGED}{now}-{uuid4().hex[:4]}{path.suffix}")
    with suppress(FileNotFoundError):
        os.link(f"{path}-wal", f"{aside}-wal")
    os.link(path, aside)
    sync(path.parent)
    return aside


def _put(new: Path, path: Path) -> None:
    """Have a new file take another's place, whose log is not the new one's."""
    with new.open("rb") as file:
        os.fsync(file.fileno())
    for end in ("-wal", "-shm"):
        Path(f"{path}{end}").unlink(missing_ok=True)
    new.rename(path)
    sync(path.parent)


def _alone(directory: Path) -> DirectoryLock:
    """Wait until no other server mends this one's database."""
    while True:
        with suppress(BlockingIOError):
            return DirectoryLock(directory, alone=True)
        time.sleep(0.1)


@contextmanager
def _unchanging(path: Path) -> Generator[None]:
    """Let no server that runs write to a database meanwhile, if its damage leaves that possible."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        with suppress(sqlite3.Error):
            connection.execute("BEGIN IMMEDIATE")
        yield


def _tell(path: Path, aside: Path, fault: str, found: Salvage) -> None:
    _log.error(
        "%s was damaged (%s) and is kept as %s. %d rows of it are sound and go on; lost are: %s. "
        "Put these again, or stop and restore a back-up. No blobs are removed from the store until "
        "%s* is moved elsewhere.",
        path.name,
        fault,
        aside.name,
        found.count,
        ", ".join(found.names) or "none that it still names",
        aside.name,
    )
