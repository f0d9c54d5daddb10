"""The store: the server's own copies of deltas' files, each directory named by its digest.

    ROOT/run-…/lock         held for as long as the server lives
    ROOT/run-…/staging-…/   a delta that is on its way in
    ROOT/run-…/<sha256>/    a whole delta, durable before it has this name
    ROOT/run-…/trash-…/     a delta that nobody holds any more, being removed
    ROOT/run-…/scratch/     what else the server keeps on disk for as long as it lives

A delta is written once, there, and checked afterwards, so that nothing which changes outside can
reach the device. A server that ended, however it ended, left its lock free: the next one sweeps.
A store that someone removes is made anew with the next delta.
"""

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from uuid import uuid4

from deltas.checkpoint import MAX_WEIGHTS
from server.errors import DeltaUnavailable
from server.registry.gate import Gate
from server.registry.quota import Quota
from server.registry.run import Run
from server.registry.staging import Staging, storage_errors

_MIB = 1 << 20


class Store:
    """Copies of deltas, counted by holder and removed with the last one; thread-safe.

    All of them take at most `quota` bytes, one at most `max_bytes`. Raises InsufficientStorage
    wherever the disk cannot be written.
    """

    gate: Gate
    """Whoever makes anything in the store, other than through it, is to be inside."""

    def __init__(
        self, root: Path, quota: int = 1 << 40, max_bytes: int = MAX_WEIGHTS + _MIB
    ) -> None:
        self.max_bytes = max_bytes
        self._quota = Quota(quota)
        self.gate = Gate()
        self._closed = False
        self._lock = Lock()
        self._holders = Counter[str]()
        self._sizes: dict[str, int] = {}
        with storage_errors():
            self._run = Run(root)
        # Whoever drops may be an event loop, which waits for no disk. Where memory is exhausted no
        # thread begins any more, and who starts one waits for ever: this one is there before.
        self._remover = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._remover.submit(int).result()

    @property
    def scratch(self) -> Path:
        """A directory that is there for as long as the store."""
        return self._run.scratch

    @contextmanager
    def stage(self) -> Generator[Staging]:
        """A place for a delta that comes in; it is gone at the end unless kept."""
        with self.gate.passed(), storage_errors():
            self._run.ensure()
            path = Path(tempfile.mkdtemp(prefix="staging-", dir=self._run.path))
        staging = Staging(path, self.gate, self._quota, self.max_bytes)
        try:
            yield staging
        finally:
            shutil.rmtree(path, ignore_errors=True)
            staging.discard()

    def keep(self, staging: Staging, digest: str) -> None:
        """Put a staged delta in its place, durably, and hold it once."""
        with storage_errors():
            # Slow disks are waited for outside the lock, which an event loop may want.
            _sync(staging.path)
            with self._lock:
                self._place(staging, digest)
                self._holders[digest] += 1
            _sync(self._run.path)

    def mend(self, staging: Staging, digest: str) -> None:
        """Put back the files of a delta that is held, should they be gone."""
        with storage_errors(), self._lock:
            if self._holders[digest]:
                self._place(staging, digest)

    def drop(self, digest: str) -> None:
        """Undo one `keep`; the files are gone with the last one, and their room is free soon."""
        trash = self._run.path / f"trash-{uuid4().hex}"
        with self._lock:
            self._holders[digest] -= 1
            if self._holders[digest]:
                return
            del self._holders[digest]
            self._quota.give_back(self._sizes.pop(digest))
            if self._closed:
                return
            with suppress(OSError):
                (self._run.path / digest).rename(trash)
            self._remover.submit(shutil.rmtree, trash, ignore_errors=True)

    def path(self, digest: str) -> Path:
        """Where a kept delta's files are; raises DeltaUnavailable if they are gone."""
        place = self._run.path / digest
        if not place.is_dir():
            raise DeltaUnavailable("The delta's files are gone from the store; put it again.")
        return place

    def close(self) -> None:
        """Wait for whoever is inside the gate and remove everything; closing again does nothing."""
        self.gate.close()
        with self._lock:
            self._closed = True
        self._remover.shutdown()
        self._run.close()

    def _place(self, staging: Staging, digest: str) -> None:
        place = self._run.path / digest
        if place.is_dir():
            if _sizes(place) == _sizes(staging.path):
                return
            # Someone has been at it.
            shutil.rmtree(place)
        staging.path.rename(place)
        self._quota.give_back(self._sizes.get(digest, 0))
        self._sizes[digest] = staging.release()


def _sizes(directory: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in directory.iterdir()}


def _sync(directory: Path) -> None:
    """Make the names in a directory durable."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
