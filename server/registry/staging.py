"""Staging: a delta's files on their way in, within the store."""

import hashlib
import os
from collections.abc import Collection, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from deltas.errors import InvalidDelta
from deltas.folder import Folder
from server.errors import InsufficientStorage
from server.registry.gate import Gate
from server.registry.quota import Quota

_CHUNK = 1 << 20


class Staging:
    """A directory that takes files one after another, each of which is durable once it has ended.

    Every byte is taken from the quota before it is written. `max_bytes` limits all files together.
    Raises InsufficientStorage where the disk cannot be written.
    """

    def __init__(self, path: Path, gate: Gate, quota: Quota, max_bytes: int) -> None:
        self.path = path
        self.size = 0
        self._gate = gate
        self._quota = quota
        self._max_bytes = max_bytes

    @property
    def names(self) -> frozenset[str]:
        """The names of the files that there are."""
        return frozenset(path.name for path in self.path.iterdir())

    @property
    def digest(self) -> str:
        """The digest of the files as they are now."""
        return digest_of(self.path)

    def begin(self, name: str) -> BinaryIO:
        """Begin a file, to be given to `write` and `end`."""
        with self._gate.passed(), storage_errors():
            return (self.path / name).open("xb")

    def write(self, file: BinaryIO, data: bytes) -> None:
        """Write a stretch of a file; raises InvalidDelta if the files are too large together."""
        if self.size + len(data) > self._max_bytes:
            raise InvalidDelta(
                f"The checkpoint is too large: at most {self._max_bytes} bytes are taken."
            )
        self._quota.take(len(data))
        self.size += len(data)
        with storage_errors():
            file.write(data)

    def end(self, file: BinaryIO) -> None:
        """End a file: it is on disk from now on."""
        with storage_errors(), file:
            file.flush()
            os.fsync(file.fileno())

    def copy(self, folder: Folder, names: Collection[str]) -> None:
        """Copy files of a folder; raises InvalidDelta if one cannot be read."""
        for name in sorted(names):
            with folder.open(name) as (source, _), self.begin(name) as file:
                while data := source.read(_CHUNK):
                    self.write(file, data)
                self.end(file)

    def drop_others(self, names: Collection[str]) -> None:
        """Remove all files but those of these names."""
        for name in self.names - frozenset(names):
            size = (self.path / name).stat().st_size
            (self.path / name).unlink()
            self._give_back(size)

    def release(self) -> int:
        """Stop counting the files, and return what they take of the quota."""
        size, self.size = self.size, 0
        return size

    def discard(self) -> None:
        """Give back the room of what was not kept."""
        self._give_back(self.size)

    def _give_back(self, size: int) -> None:
        self._quota.give_back(size)
        self.size -= size


def digest_of(directory: Path, names: Collection[str] | None = None) -> str:
    """The sha256 in hex over a directory's file names and contents, sorted by name.

    With `names`, over those of them that are there.
    """
    digest = hashlib.sha256()
    for path in sorted(directory.iterdir()):
        if names is not None and path.name not in names:
            continue
        with path.open("rb") as file:
            digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
            while data := file.read(_CHUNK):
                digest.update(data)
    return digest.hexdigest()


def sha256_of(path: Path) -> str:
    """The sha256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def storage_errors() -> Generator[None]:
    """Say of an error of the disk that the store cannot be written."""
    try:
        yield
    except OSError as error:
        raise InsufficientStorage(
            f"The store cannot be written: {error.strerror}. Nothing has changed; have an operator "
            "look at its disk, and try again."
        ) from error
