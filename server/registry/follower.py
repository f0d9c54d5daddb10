"""The follower: a thread that takes over what other servers change, and what time does."""

import logging
from collections.abc import Callable
from threading import Event, Thread

from deltas.errors import PolydeltaError

_log = logging.getLogger(__name__)


class Follower:
    """Calls `look` after each `wait` until it is closed; what that raises is logged once."""

    def __init__(self, look: Callable[[], None], wait: Callable[[Event], None]) -> None:
        self._look = look
        self._wait = wait
        self._closed = Event()
        self._said = ""
        self._thread = Thread(target=self._run, name="registry-follower", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._wait(self._closed)
            if self._closed.is_set():
                return
            try:
                self._look()
                self._said = ""
            except PolydeltaError as error:
                self._say(str(error))
            except Exception as error:
                self._say(f"The registry could not be followed ({error!r}).")

    def _say(self, what: str) -> None:
        if what != self._said:
            self._said = what
            _log.error("%s", what)
