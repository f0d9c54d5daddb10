"""Folders: directories that are held open, whose files are reached through that handle alone."""

import os
import posixpath
import stat
import weakref
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from io import BufferedReader
from pathlib import Path

from deltas.errors import InvalidDelta

_ROOT = Path("/")
_SNAPSHOTS = "snapshots"

_STEP = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LIST = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without O_NONBLOCK, opening a pipe would wait for a writer.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Folder:
    """An open directory of files, which must lie beneath another; closed with its last reference.

    What takes its place afterwards is never read. A file may be a link to another in the same
    directory; in a snapshot of the hub's cache (`<repository>/snapshots/<revision>`) also to one of
    the same repository, whose `blobs` hold the contents. Other links are not followed.
    Raises InvalidDelta where no directory can be read.
    """

    def __init__(self, path: Path, beneath: Path = _ROOT) -> None:
        with ExitStack() as handles:
            try:
                top = beneath.resolve()
                # Links are resolved by now: whatever is one at the next look was put there since.
                steps = path.resolve().relative_to(top).parts
                self._inner = steps[-2:] if steps[-2:-1] == (_SNAPSHOTS,) else ()
                outer = steps[: len(steps) - len(self._inner)]
                handle = os.open(top, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
                handles.callback(os.close, handle)
                self._scope = _open(handle, outer, _STEP)
                handles.callback(os.close, self._scope)
                self._handle = _open(self._scope, self._inner, _LIST)
                handles.callback(os.close, self._handle)
                self.names = _names(self._handle)
            except (OSError, RuntimeError, ValueError) as error:
                raise InvalidDelta("There is no readable directory of checkpoint files.") from error
            weakref.finalize(self, handles.pop_all().close)

    @contextmanager
    def open(self, name: str) -> Generator[tuple[BufferedReader, int]]:
        """Open one file for reading and tell its size in bytes.

        Devices and pipes are never waited for. Raises InvalidDelta for anything but a regular file.
        """
        try:
            handle = self._handle_of(name)
        except (OSError, ValueError) as error:
            raise InvalidDelta(
                f"{name} is missing, not readable or a link that leads out of its directory."
            ) from error
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            os.close(handle)
            raise InvalidDelta(f"{name} is not a regular file.")
        with os.fdopen(handle, "rb") as file:
            yield file, status.st_size

    def _handle_of(self, name: str) -> int:
        if not stat.S_ISLNK(os.stat(name, dir_fd=self._handle, follow_symlinks=False).st_mode):
            return os.open(name, _READ, dir_fd=self._handle)
        target = posixpath.join(*self._inner, os.readlink(name, dir_fd=self._handle))
        return _open(self._scope, posixpath.normpath(target).split("/"), _READ)


def opened(directory: Path | Folder) -> Folder:
    """Open a directory that is given by its path."""
    return directory if isinstance(directory, Folder) else Folder(directory)


def _names(handle: int) -> frozenset[str]:
    with os.scandir(handle) as entries:
        return frozenset(entry.name for entry in entries)


def _open(handle: int, steps: Sequence[str], flags: int) -> int:
    """Open what lies at the end of some steps beneath an open directory, following no link.

    Raises OSError where a step is a link or absent, ValueError where it would lead out.
    """
    if {"", ".."}.intersection(steps):
        raise ValueError
    with ExitStack() as passed:
        for step in steps[:-1]:
            handle = os.open(step, _STEP, dir_fd=handle)
            passed.callback(os.close, handle)
        return os.open(steps[-1] if steps else ".", flags, dir_fd=handle)
