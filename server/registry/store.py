"""The store: the server's own copies of deltas' files, each directory named by its digest.

    ROOT/run-…/lock         held for as long as the server lives
    ROOT/run-…/staging-…/   a copy that is being made or checked
    ROOT/run-…/<sha256>/    a whole copy, durable before it has this name
    ROOT/run-…/trash-…/     a copy that nobody holds any more, being removed
    ROOT/run-…/scratch/     what else the server keeps on disk for as long as it lives

A delta is copied first and checked afterwards, so that nothing which changes outside can reach
the device. A server that ended, however it ended, left its lock free: the next one sweeps.
"""

import fcntl
import hashlib
import os
import shutil
import tempfile
import weakref
from collections import Counter
from collections.abc import Collection, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, Thread
from uuid import uuid4

from deltas.checkpoint import MAX_WEIGHTS, open_regular
from deltas.errors import InvalidDelta
from server.errors import DeltaUnavailable, InsufficientStorage

_CHUNK = 1024 * 1024
_LOCK = "lock"


@dataclass(frozen=True, slots=True)
class Staged:
    """A copied delta that is not in its place yet."""

    path: Path
    digest: str


class Store:
    """Copies of deltas, counted by holder and removed with the last one; thread-safe.

    `max_bytes` limits one delta's files together. Raises InsufficientStorage wherever the disk
    cannot be written.
    """

    def __init__(self, root: Path, max_bytes: int = MAX_WEIGHTS + _CHUNK) -> None:
        self.max_bytes = max_bytes
        self._lock = Lock()
        self._holders = Counter[str]()
        with _storage_errors():
            root.mkdir(parents=True, exist_ok=True)
            _sweep(root)
            self._run = Path(tempfile.mkdtemp(prefix="run-", dir=root))
            self.scratch = self._run / "scratch"
            self.scratch.mkdir()
            self._end = weakref.finalize(self, _remove, self._run, _hold(self._run))

    @contextmanager
    def stage(self, source: Path, names: Collection[str]) -> Generator[Staged]:
        """Copy a directory's files of these names; the copy is gone at the end unless kept.

        Raises InvalidDelta if a file cannot be read or they are too large together.
        """
        with _storage_errors():
            path = Path(tempfile.mkdtemp(prefix="staging-", dir=self._run))
        try:
            room = self.max_bytes
            for name in sorted(names):
                room -= _copy(source, name, path, room)
            yield Staged(path, digest_of(path))
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def keep(self, staged: Staged) -> None:
        """Put a staged delta in its place, durably, and hold it once."""
        with _storage_errors():
            # Slow disks are waited for outside the lock, which an event loop may want.
            _sync(staged.path)
            with self._lock:
                if not self._holders[staged.digest]:
                    staged.path.rename(self._run / staged.digest)
                self._holders[staged.digest] += 1
            _sync(self._run)

    def drop(self, digest: str) -> None:
        """Undo one `keep`; the files are gone with the last one, and their room is free soon."""
        trash = self._run / f"trash-{uuid4().hex}"
        with self._lock:
            self._holders[digest] -= 1
            if self._holders[digest]:
                return
            with suppress(OSError):
                (self._run / digest).rename(trash)
        # Whoever drops may be an event loop, which waits for no disk.
        Thread(target=shutil.rmtree, args=(trash,), kwargs={"ignore_errors": True}).start()

    def path(self, digest: str) -> Path:
        """Where a kept delta's files are; raises DeltaUnavailable if they are gone."""
        place = self._run / digest
        if not place.is_dir():
            raise DeltaUnavailable("The delta's files are gone from the store; put it again.")
        return place

    def close(self) -> None:
        """Remove everything; the store is not used afterwards. Closing again does nothing."""
        self._end()


def digest_of(directory: Path) -> str:
    """The sha256 in hex over a directory's file names and contents, sorted by name."""
    digest = hashlib.sha256()
    for path in sorted(directory.iterdir()):
        content = path.read_bytes()
        digest.update(f"{path.name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


@contextmanager
def _storage_errors() -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise InsufficientStorage(f"The store cannot be written: {error.strerror}.") from error


def _copy(source: Path, name: str, target: Path, room: int) -> int:
    """Copy one file durably and return its size; no more than `room` bytes."""
    with open_regular(source, name) as (file, size):
        if size > room:
            raise InvalidDelta(f"The checkpoint is too large: {name} alone has {size} bytes.")
        with _storage_errors(), (target / name).open("xb") as copy:
            shutil.copyfileobj(file, copy, _CHUNK)
            copy.flush()
            os.fsync(copy.fileno())
    return size


def _sync(directory: Path) -> None:
    """Make the names in a directory durable."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _hold(run: Path) -> int:
    """Lock a run until the process ends or the handle returned is closed."""
    handle = os.open(run / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise
    return handle


def _sweep(root: Path) -> None:
    """Remove the runs whose servers are gone."""
    for run in root.glob("run-*"):
        # Without a lock yet, it is another server's that starts just now.
        if not (run / _LOCK).exists():
            continue
        # Its server lives, or another sweeper was faster.
        with suppress(BlockingIOError, FileNotFoundError):
            _remove(run, _hold(run))


def _remove(run: Path, handle: int) -> None:
    shutil.rmtree(run, ignore_errors=True)
    os.close(handle)
