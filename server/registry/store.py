"""The store: the server's own copies of deltas' files, each directory named by its digest.

    ROOT/blobs/<sha256>/    a whole delta, durable before it has this name; of all servers here
    ROOT/registry.sqlite3   which tasks there are, and which blobs they need
    ROOT/run-…/             what is of one server alone, and is swept once it has ended:
        lock                held for as long as the server lives
        staging-…/          a delta that is on its way in
        trash-…/            a delta that nobody needs any more, being removed
        scratch/            what else the server keeps on disk for as long as it lives

A delta is written once, there, and checked afterwards, so that nothing which changes outside can
reach the device. Whoever puts a blob in its place locks its directory until the catalogue needs it;
whoever finds that the catalogue does not need it removes it under the same lock. So a server that
ended between the two, however it ended, leaves a blob that the next one removes.
"""

import errno
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from uuid import uuid4

from deltas.checkpoint import MAX_WEIGHTS
from server.errors import DeltaUnavailable, InsufficientStorage
from server.registry.directory import DirectoryLock, sync
from server.registry.gate import Gate
from server.registry.layout import BLOBS, BLOBS_ASIDE, DAMAGED, digests_in, is_digest
from server.registry.quota import Quota
from server.registry.run import Run
from server.registry.staging import Staging, digest_of, storage_errors

_MIB = 1 << 20


class Store:
    """Deltas by digest, for as long as the catalogue needs them; thread-safe.

    All of them take at most `quota` bytes, one at most `max_bytes`. Raises InsufficientStorage
    wherever the disk cannot be written.
    """

    gate: Gate
    """Whoever makes anything in the store, other than through it, is to be inside."""

    def __init__(
        self, root: Path, quota: int = 1 << 40, max_bytes: int = MAX_WEIGHTS + _MIB
    ) -> None:
        self.root = root
        self.max_bytes = max_bytes
        self.gate = Gate()
        self._lock = Lock()
        self._blobs = root / BLOBS
        try:
            self._run = Run(root)
            self._blobs.mkdir(exist_ok=True)
            self._sizes = {digest: size_of(self._blob(digest)) for digest in self.digests()}
        except OSError as error:
            raise InsufficientStorage(
                f"The store {root} cannot be written ({error.strerror}), which a server must "
                "even for the tasks that are there. Look at the disk and at whose the directory "
                "is, or name another one (--store)."
            ) from error
        self.quota = Quota(quota, sum(self._sizes.values()))

    @property
    def bytes(self) -> int:
        """Size of all blobs that are known of."""
        with self._lock:
            return sum(self._sizes.values())

    @property
    def scratch(self) -> Path:
        """A directory that is there for as long as this server."""
        return self._run.scratch

    @contextmanager
    def stage(self) -> Generator[Staging]:
        """A place for a delta that comes in; it is gone at the end unless kept."""
        with self.gate.passed(), storage_errors():
            self._run.ensure()
            path = Path(tempfile.mkdtemp(prefix="staging-", dir=self._run.path))
        staging = Staging(path, self.gate, self.quota, self.max_bytes)
        try:
            yield staging
        finally:
            shutil.rmtree(path, ignore_errors=True)
            staging.discard()

    @contextmanager
    def keeping(self, staging: Staging, digest: str) -> Generator[None]:
        """Put a staged delta in its place, durably; nobody removes it before the end."""
        with storage_errors():
            # Slow disks are waited for outside the lock.
            sync(staging.path)
            held = self._place(staging, digest)
        with held:
            with storage_errors():
                sync(self._blobs)
            yield

    def sweep(self, digests: Iterable[str], needed: Callable[[set[str]], set[str]]) -> None:
        """Remove those blobs of some digests that are not needed; one being put is passed over.

        `needed` tells which of some digests are. None is removed while a damaged database is kept,
        which may name versions that have them.
        """
        if any(self.root.glob(f"{DAMAGED}*.sqlite3")):
            return
        wanted = {digest for digest in digests if is_digest(digest)}
        for digest in wanted - needed(wanted):
            with suppress(BlockingIOError, FileNotFoundError):
                with DirectoryLock(self._blob(digest), alone=True):
                    # It may be needed since the catalogue was looked at.
                    trash = None if digest in needed({digest}) else self._discard(digest)
                if trash is not None:
                    shutil.rmtree(trash, ignore_errors=True)

    def recount(self) -> None:
        """Count anew what there is: other servers put into the store and remove from it."""
        with self._lock:
            # A blob never changes, so that only new ones need be looked at.
            found = {
                digest: self._sizes.get(digest) or size_of(self._blob(digest))
                for digest in self.digests()
            }
            self.quota.give_back(sum(self._sizes.values()) - sum(found.values()))
            self._sizes = found

    def set_aside(self) -> Path:
        """Give the directory of blobs a name under which nothing is removed; return that."""
        aside = self.root / f"{BLOBS_ASIDE}{uuid4().hex[:8]}"
        with storage_errors():
            self._blobs.rename(aside)
            self._blobs.mkdir()
        self.recount()
        return aside

    def digests(self) -> set[str]:
        """The digests of all blobs."""
        return digests_in(self.root)

    def path(self, digest: str) -> Path:
        """Where a delta's files are; raises DeltaUnavailable if they are gone."""
        place = self._blob(digest)
        if not place.is_dir():
            raise DeltaUnavailable("The delta's files are gone from the store; put it again.")
        return place

    def has(self, digest: str) -> bool:
        """Whether there is a delta, whole or not."""
        return self._blob(digest).is_dir()

    def file(self, digest: str, name: str) -> Path | None:
        """Where one file of a delta is, if it is there."""
        with suppress(OSError):
            if is_digest(digest):
                files = self._blob(digest).iterdir()
                return next((path for path in files if path.name == name), None)
        return None

    def is_whole(self, digest: str) -> bool:
        """Whether a delta's files are those that it was put with; reads them all."""
        with suppress(OSError):
            return digest_of(self._blob(digest)) == digest
        return False

    def close(self) -> None:
        """Wait for whoever is inside the gate and remove what is this server's alone."""
        self.gate.close()
        self._run.close()

    def _blob(self, digest: str) -> Path:
        return self._blobs / digest

    def _place(self, staging: Staging, digest: str) -> DirectoryLock:
        """Put a delta in its place unless it is there, and lock it."""
        self._blobs.mkdir(parents=True, exist_ok=True)
        while True:
            held = self._found(digest) or self._moved(staging, digest)
            if held is not None:
                return held

    def _found(self, digest: str) -> DirectoryLock | None:
        """Lock a blob that is whole; one that is not is removed."""
        with suppress(FileNotFoundError):
            held = DirectoryLock(self._blob(digest))
            if self.is_whole(digest):
                return held
            held.close()
            self._discard_damaged(digest)
        return None

    def _discard_damaged(self, digest: str) -> None:
        """Remove a blob that is not whole, unless another is at it."""
        with suppress(BlockingIOError), DirectoryLock(self._blob(digest), alone=True):
            # It may have been put again since it was looked at.
            if not self.is_whole(digest):
                shutil.rmtree(self._discard(digest), ignore_errors=True)

    def _moved(self, staging: Staging, digest: str) -> DirectoryLock | None:
        """Lock what is staged and make it a blob, unless another has come in between."""
        # A lock is the directory's and goes with it to its new name.
        held = DirectoryLock(staging.path)
        try:
            with self._lock:
                staging.path.rename(self._blob(digest))
                self._sizes[digest] = staging.release()
        except OSError as error:
            held.close()
            if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
                return None
            raise
        return held

    def _discard(self, digest: str) -> Path:
        """Take a blob out of its place; return where it is to be removed."""
        self._run.ensure()
        trash = self._run.path / f"trash-{uuid4().hex}"
        with self._lock:
            self._blob(digest).rename(trash)
            self.quota.give_back(self._sizes.pop(digest, 0))
        return trash


def size_of(directory: Path) -> int:
    """The bytes of a directory's files, none if it is not there."""
    with suppress(FileNotFoundError):
        return sum(path.stat().st_size for path in directory.iterdir())
    return 0
