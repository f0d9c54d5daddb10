"""Watching: the folders of a directory are tasks, and what changes in one is its next version.

The directory is looked at now and then, since not every file system tells of changes. A folder is
read once none of its files has changed for a while; whoever writes more slowly than that has a half
refused, which changes nothing, and the whole read once it is there. A task outlives its folder.
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
from server.errors import ShuttingDown
from server.registry.names import is_plain, shared
from server.registry.registry import Registry
from server.registry.tally import Counted
from server.registry.version import BASE_NAME

_log = logging.getLogger(__name__)

State: TypeAlias = tuple[tuple[str, int, int, int], ...]
"""Of each file its name, its size, when it was changed, and its inode."""


@dataclass
class _Seen:
    state: State
    since: float
    done: bool = False


class Watch:
    """Puts what comes into a directory, from a thread of its own, until it is stopped.

    `settle` is for how many seconds a folder must have stayed as it is, `every` how often they are
    looked at.
    """

    def __init__(
        self, registry: Registry, directory: Path, settle: float = 2.0, every: float = 1.0
    ) -> None:
        self._registry = registry
        self._directory = directory
        self._settle = settle
        self._every = every
        self._seen: dict[str, _Seen] = {}
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
            # However many folders there are, looking takes a small part of the time.
            pause = max(self._every, 20 * (time.monotonic() - began))
            if self._stopped.wait(pause):
                return

    def _look(self) -> None:
        now = time.monotonic()
        names = self._names()
        self._seen = {name: seen for name, seen in self._seen.items() if name in names}
        for name in names:
            state = _state(self._directory / name)
            seen = self._seen.get(name)
            if seen is None or seen.state != state:
                self._seen[name] = _Seen(state, now)
            elif state and not seen.done and now - seen.since >= self._settle:
                seen.done = True
                self._put(name)
            if self._stopped.is_set():
                return

    def _names(self) -> set[str]:
        try:
            with os.scandir(self._directory) as entries:
                return {each.name for each in entries if _is_task(each)}
        except OSError:
            return set()

    def _put(self, name: str) -> None:
        try:
            folder = Folder(self._directory / name, self._directory)
            task, changed = self._registry.put(shared(name), folder, source="directory")
        except ShuttingDown:
            raise
        except PolydeltaError as error:
            self._registry.tally.add(Counted.WATCH_FAILURES)
            _log.error("The folder %s is not served, until it changes: %s", name, error)
        except Exception:
            self._registry.tally.add(Counted.WATCH_FAILURES)
            _log.exception("The folder %s could not be read.", name)
        else:
            if changed:
                _log.info("Task %s: version %s, from its folder.", name, task.active.ref.version)


def _is_task(entry: "os.DirEntry[str]") -> bool:
    try:
        return is_plain(entry.name) and entry.name != BASE_NAME and entry.is_dir()
    except OSError:
        return False


def _state(folder: Path) -> State:
    try:
        with os.scandir(folder) as entries:
            found = [(each.name, each.stat()) for each in entries]
    except OSError:
        # Something came or went meanwhile: the next look tells.
        return ()
    return tuple(
        sorted((name, each.st_size, each.st_mtime_ns, each.st_ino) for name, each in found)
    )
