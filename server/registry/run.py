"""Runs: the directory of one server within the store's root, locked for as long as it lives.

A run has its lock before anything else, and loses it last. So one whose lock is free, or that holds
anything without a lock, is of a server that ended: the next one to start sweeps it.
"""

import fcntl
import os
import shutil
import tempfile
import weakref
from contextlib import suppress
from pathlib import Path
from threading import Lock

from server.registry.layout import RUN

_LOCK = "lock"


class Run:
    """A new run, after a sweep of the root. Raises OSError where that cannot be written.

    `scratch` is a directory for what else the server keeps on disk for as long as it lives.
    """

    def __init__(self, root: Path) -> None:
        self._guard = Lock()
        root.mkdir(parents=True, exist_ok=True)
        _sweep(root)
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=RUN, dir=root))
            # A sweeper may come between; it takes away what is still empty.
            with suppress(BlockingIOError, FileNotFoundError):
                self._end = self._lock(os.O_CREAT)
                break
        self.scratch = self.path / "scratch"
        self.scratch.mkdir()

    def ensure(self) -> None:
        """Make the directory anew, empty and under its old name, if someone has removed it."""
        with self._guard:
            if (self.path / _LOCK).exists() and self.scratch.is_dir():
                return
            self.path.mkdir(parents=True, exist_ok=True)
            # The old lock is on a file that is gone.
            self._end.detach()
            self._end = self._lock(os.O_CREAT)
            self.scratch.mkdir(exist_ok=True)

    def close(self) -> None:
        """Remove everything; the run is not used afterwards. Closing again does nothing."""
        self._end()

    def _lock(self, flags: int) -> "weakref.finalize[[Path, int], Run]":
        return weakref.finalize(self, _remove, self.path, _hold(self.path, flags))


def ended(root: Path) -> list[Path]:
    """The runs in a root whose servers have ended, however that was."""
    found: list[Path] = []
    for run in sorted(root.glob(f"{RUN}*")):
        try:
            os.close(_hold(run))
        except FileNotFoundError:
            # Without a lock: it was left before it had one, or after.
            found += [run] if run.exists() else []
        except OSError:
            continue
        else:
            found.append(run)
    return found


def _hold(run: Path, flags: int = 0) -> int:
    """Lock a run until the process ends or the handle returned is closed.

    Raises BlockingIOError if it is locked already, FileNotFoundError if it is not there any more.
    """
    handle = os.open(run / _LOCK, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever held it before may have removed the run meanwhile.
        (run / _LOCK).stat()
    except OSError:
        os.close(handle)
        raise
    return handle


def _sweep(root: Path) -> None:
    for run in root.glob(f"{RUN}*"):
        # Its server lives, or another sweeper was faster.
        with suppress(OSError):
            names = {path.name for path in run.iterdir()}
            if _LOCK in names:
                _remove(run, _hold(run))
            elif names:
                shutil.rmtree(run, ignore_errors=True)
            else:
                run.rmdir()


def _remove(run: Path, handle: int) -> None:
    with suppress(OSError):
        for path in run.iterdir():
            if path.name != _LOCK:
                shutil.rmtree(path, ignore_errors=True)
        (run / _LOCK).unlink()
        run.rmdir()
    os.close(handle)
