"""Watching: the folders of a directory are tasks, and what changes in one is its next version.

The directory is looked at now and then, since not every file system tells of changes. A folder is
read once its sums (`sums.py`) say that it is whole, and then from a copy that was compared with
them: what is written meanwhile, however slowly, is never read by half. A task outlives its folder.
"""

import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import TypeAlias

from deltas.errors import PolydeltaError
from deltas.folder import Folder
from deltas.formats import files_of
from server.errors import RegistryUnavailable, ShuttingDown, TaskNotFound
from server.registry.names import is_plain, shared
from server.registry.registry import Registry
from server.registry.staging import digest_of
from server.registry.sums import Sums, Unfinished
from server.registry.tally import Counted
from server.registry.version import BASE_NAME

_log = logging.getLogger(__name__)

State: TypeAlias = tuple[tuple[str, int, int, int], ...]
"""Of each file its name, its size, when it was changed, and its inode."""


@dataclass
class _Seen:
    """A folder as it was at the last look, and since when it has been so.

    `fault` is why it is not served, which is `told` at once or later. `first` is what was there
    when the server started.
    """

    state: State
    since: float
    first: bool
    done: bool = False
    fault: str = ""
    told: bool = False


class Watch:
    """Puts what comes into a directory, from a thread of its own, until it is stopped.

    Folders are looked at every so many seconds, and read where nothing has changed in between; one
    that stays unfinished for `patience` seconds is told of.
    """

    def __init__(
        self, registry: Registry, directory: Path, every: float = 1.0, patience: float = 30.0
    ) -> None:
        self._registry = registry
        self._directory = directory
        self._every = every
        self._patience = patience
        self._seen: dict[str, _Seen] = {}
        self._read_as: dict[str, State] = {}
        """Each folder as it last was put: one that goes and comes back as it was is nothing new."""
        self._first = True
        self._said = False
        self._unserved = 0
        self._stopped = Event()
        self._thread = Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more, and wait for what is being put."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            began = time.monotonic()
            try:
                self._look()
            except ShuttingDown:
                return
            self._count()
            # However many folders there are, looking takes a small part of the time.
            pause = max(self._every, 20 * (time.monotonic() - began))
            if self._stopped.wait(pause):
                return

    def _look(self) -> None:
        names = self._names()
        if names is None:
            # What is known of its folders holds until they can be looked at again.
            return
        if self._seen and not names:
            _log.warning(
                "The directory %s is empty, as where a disk is mounted no more; the tasks of the "
                "folders that it had stay as they are.",
                self._directory,
            )
        self._seen = {name: seen for name, seen in self._seen.items() if name in names}
        faults: list[OSError] = []
        for name in names:
            try:
                self._look_at(name, self._state(name), time.monotonic())
            except OSError as error:
                faults.append(error)
            if self._stopped.is_set():
                return
        self._say(faults[0] if faults else None)
        # Where a disk is mounted late, what is on it was there when the server started.
        self._first = self._first and not names

    def _look_at(self, name: str, state: State, now: float) -> None:
        seen = self._seen.get(name)
        if seen is None or seen.state != state:
            done = state == self._read_as.get(name)
            self._seen[name] = _Seen(state, now, self._first, done)
        elif not seen.done:
            seen.done = True
            self._read(name, seen)
        elif seen.fault and not seen.told and now - seen.since >= self._patience:
            self._tell(name, seen)

    def _names(self) -> set[str] | None:
        """The folders that there are, or None where the directory cannot be read."""
        try:
            with os.scandir(self._directory) as entries:
                return {each.name for each in entries if self._is_task(each)}
        except OSError as error:
            self._say(error)
            return None

    def _is_task(self, entry: "os.DirEntry[str]") -> bool:
        if not is_plain(entry.name) or entry.name == BASE_NAME:
            return False
        try:
            return entry.is_dir()
        except OSError:
            # One that was a folder a moment ago is no less one for being out of reach.
            return entry.name in self._seen

    def _state(self, name: str) -> State:
        """A folder's files; raises OSError where one that was known cannot be reached any more."""
        try:
            with os.scandir(self._directory / name) as entries:
                found = [(each.name, each.stat()) for each in entries]
        except FileNotFoundError:
            # Something came or went meanwhile: the next look tells.
            return ()
        except OSError:
            if name in self._read_as:
                raise
            # Reading it tells what is wrong.
            return ()
        return tuple(
            sorted((name, each.st_size, each.st_mtime_ns, each.st_ino) for name, each in found)
        )

    def _say(self, fault: OSError | None) -> None:
        """Tell of a directory that cannot be read, once until all can be read again."""
        said, self._said = self._said, fault is not None
        if fault is not None and not said:
            _log.error(
                "The directory %s cannot be read, so it is not looked at until it can be, and what "
                "it serves stays as it is: %s",
                fault.filename,
                fault.strerror or fault,
            )

    def _read(self, name: str, seen: _Seen) -> None:
        try:
            self._put(name, Folder(self._directory / name, self._directory), seen.first)
            self._read_as[name] = seen.state
        except ShuttingDown:
            raise
        except Unfinished as unfinished:
            # Somebody may be writing it: it is told if that takes long.
            seen.fault = str(unfinished)
        except PolydeltaError as error:
            seen.fault = str(error)
            self._tell(name, seen)
        except Exception:
            seen.fault = "it could not be read"
            _log.exception("The folder %s could not be read.", name)
            self._tell(name, seen)

    def _put(self, name: str, folder: Folder, first: bool) -> None:
        sums = Sums(folder)
        names, kept = files_of(folder, judged=True), files_of(folder)
        sums.check_names(names)
        with self._registry.stage() as staging:
            staging.copy(folder, names)
            sums.check(staging.path)
            # What somebody went back from, or removed, does not answer again by a restart.
            if first and self._knows(name, digest_of(staging.path, kept)):
                return
            task, changed = self._registry.put_staged(shared(name), staging, source="directory")
        if changed:
            _log.info("Task %s: version %s, from its folder.", name, task.active.ref.version)

    def _knows(self, name: str, digest: str) -> bool:
        try:
            return self._registry.versions.of(shared(name)).number_of(digest) is not None
        except (TaskNotFound, RegistryUnavailable):
            return False

    def _tell(self, name: str, seen: _Seen) -> None:
        seen.told = True
        self._registry.tally.add(Counted.WATCH_FAILURES)
        _log.error("The folder %s is not served, until it changes: %s", name, seen.fault)

    def _count(self) -> None:
        unserved = sum(seen.told for seen in self._seen.values())
        self._registry.tally.add(Counted.UNSERVED, amount=unserved - self._unserved)
        self._unserved = unserved
