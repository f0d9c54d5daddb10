"""Archives: a manifest and the blobs that it names, as one plain tar file (POSIX.1-1988 ustar).

    manifest.json
    blobs/<sha256>/<file>   in the manifest's order

All but the manifest's size follows from the manifest, each header to the byte. So a reader needs to
understand none: a link, a device, another name or size, or any extension is not what must come.
"""

import os
import tarfile
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from server.errors import InvalidArchive, InvalidSettings
from server.registry.directory import sync
from server.registry.layout import BLOBS
from server.registry.upkeep.manifest import MAX_MANIFEST, Blob, Manifest, read_manifest

_MANIFEST = "manifest.json"
_BLOCK = tarfile.BLOCKSIZE
_END = bytes(2 * _BLOCK)
_CHUNK = 1 << 20


class Writer:
    """Writes an archive to a file, a stretch at a time."""

    def __init__(self, file: BinaryIO, manifest: Manifest) -> None:
        self._file = file
        data = manifest.written()
        self._begin(_MANIFEST, len(data))
        self._file.write(data)
        self._end(len(data))

    def add(self, blob: Blob, place: Path) -> bool:
        """Add the files of a blob; whether they are what it is named by.

        Raises OSError where they cannot be read.
        """
        digest = sha256()
        for name, size in sorted(blob.files.items()):
            digest.update(f"{name}\0{size}\0".encode())
            self._begin(_member(blob, name), size)
            with (place / name).open("rb") as source:
                left = size
                while data := source.read(min(_CHUNK, left)):
                    left -= len(data)
                    digest.update(data)
                    self._file.write(data)
            if left:
                return False
            self._end(size)
        return digest.hexdigest() == blob.digest

    def finish(self) -> None:
        """Write what tells that nothing follows."""
        self._file.write(_END)

    def _begin(self, name: str, size: int) -> None:
        self._file.write(_header(name, size))

    def _end(self, size: int) -> None:
        self._file.write(bytes(-size % _BLOCK))


class Reader:
    """Reads an archive once, from its beginning to its end.

    Raises InvalidArchive where it is none, or ends early.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = 0
        self._padding = 0
        self.manifest = read_manifest(self._manifest())

    def begin(self, blob: Blob, name: str) -> None:
        """Begin the next file, whatever is left of the last one."""
        member, size = _member(blob, name), blob.files[name]
        self._skip()
        self._expect(self._exactly(_BLOCK), member, size)

    def read(self) -> bytes:
        """The next stretch of the file that has begun; nothing at its end."""
        data = self._exactly(min(_CHUNK, self._left))
        self._left -= len(data)
        return data

    def finish(self) -> None:
        """Raise InvalidArchive unless this is the end."""
        self._skip()
        if self._exactly(len(_END)) != _END or self._file.read(1):
            raise InvalidArchive("The archive goes on behind what its manifest names.")

    def _manifest(self) -> bytes:
        header = self._exactly(_BLOCK)
        try:
            size = tarfile.TarInfo.frombuf(header, "ascii", "strict").size
        except (tarfile.TarError, ValueError):
            size = -1
        if not 0 <= size <= MAX_MANIFEST:
            raise InvalidArchive(
                f"This is no archive of a store, or its {_MANIFEST} is larger than "
                f"{MAX_MANIFEST >> 20} MiB."
            )
        self._expect(header, _MANIFEST, size)
        data = self._exactly(size)
        self._left = 0
        return data

    def _expect(self, header: bytes, name: str, size: int) -> None:
        if header != _header(name, size):
            raise InvalidArchive(
                f"Where {name} of {size} bytes must come in the archive, something else does. "
                "Take the file that polydelta store export wrote, as it was."
            )
        self._left = size
        self._padding = -size % _BLOCK

    def _skip(self) -> None:
        while self.read():
            pass
        self._exactly(self._padding)
        self._padding = 0

    def _exactly(self, size: int) -> bytes:
        data = self._file.read(size)
        if len(data) < size:
            raise InvalidArchive("The archive ends early: it was cut off. Copy it again.")
        return data


@contextmanager
def writing(path: Path) -> Generator[BinaryIO]:
    """A file that gets its name once it is whole and on disk; raises InvalidSettings."""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        with open(handle, "wb") as file:  # noqa: PTH123
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
        sync(path.parent)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        with suppress(FileNotFoundError):
            Path(name).unlink()


@contextmanager
def reading(path: Path) -> Generator[Reader]:
    """An archive whose manifest has been read and is sound; raises InvalidSettings."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise InvalidSettings(f"{path} cannot be read: {error.strerror}.") from error
    with file:
        yield Reader(file)


def _member(blob: Blob, name: str) -> str:
    return f"{BLOBS}/{blob.digest}/{name}"


def _header(name: str, size: int) -> bytes:
    """The one header that a member of this name and size has: no time, no owner."""
    member = tarfile.TarInfo(name)
    member.size = size
    try:
        return member.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")
    except ValueError as error:
        raise InvalidArchive(f"{name} of {size} bytes fits no archive.") from error


def _unwritable(path: Path, error: OSError) -> InvalidSettings:
    return InvalidSettings(f"{path} cannot be written: {error.strerror}. Name another file.")
