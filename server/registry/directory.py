"""Directories: making their names durable, and locking them."""

import fcntl
import os
from pathlib import Path
from types import TracebackType


def sync(directory: Path) -> None:
    """Make the names in a directory durable."""
    handle = _open(directory)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class DirectoryLock:
    """A lock on a directory, wherever it is renamed to, shared unless it is to be held alone.

    Who shares it waits for it; who would hold it alone and cannot at once gets BlockingIOError.
    FileNotFoundError where there is no such directory. It ends with the process, however that ends.
    """

    def __init__(self, directory: Path, *, alone: bool = False) -> None:
        self._handle = _open(directory)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB if alone else fcntl.LOCK_SH)
            # Whoever held it before may have moved it away meanwhile.
            if not os.path.samestat(os.fstat(self._handle), directory.stat()):
                raise FileNotFoundError(directory)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Give the lock back."""
        os.close(self._handle)

    def __enter__(self) -> "DirectoryLock":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _open(directory: Path) -> int:
    return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
