"""The step thread: does the core's steps, one after another, until told to stop."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable

from server.engine.core import EngineCore

_log = logging.getLogger(__name__)

_STOP_SECONDS = 60.0


class StepThread:
    """Does steps while there is something to compute, and sleeps until `bell` rings.

    `died` gets the error that ended it, if one did; that and `begin`, which comes before the
    first step, are called on the thread itself.
    """

    def __init__(
        self,
        core: EngineCore,
        bell: threading.Event,
        begin: Callable[[], None],
        died: Callable[[Exception], None],
    ) -> None:
        self._core = core
        self._bell = bell
        self._begin = begin
        self._died = died
        self._busy_since: float | None = None
        self._stopping = False
        self._resting = False
        self._at_rest = threading.Event()
        self._thread = threading.Thread(target=self._run, name="engine-core", daemon=True)

    def start(self) -> None:
        """Start it."""
        self._thread.start()

    def stop(self) -> None:
        """Stop after the step under way and wait for that, unless that step never ends."""
        self._stopping = True
        self._bell.set()
        self._thread.join(_STOP_SECONDS)

    def rest(self) -> None:
        """Begin no step until `go_on`."""
        self._at_rest.clear()
        self._resting = True
        self._bell.set()

    def wait_for_rest(self) -> None:
        """Wait until the step under way has ended, or until `go_on`."""
        self._at_rest.wait(_STOP_SECONDS)

    def go_on(self) -> None:
        """Begin steps again."""
        self._resting = False
        self._at_rest.set()
        self._bell.set()

    async def stalled(self, limit: float) -> None:
        """Wait until a step has taken longer than so many seconds."""
        while True:
            await asyncio.sleep(min(1.0, limit / 4))
            since = self._busy_since
            if since is not None and time.monotonic() - since > limit:
                _log.critical("A step has not ended for %.0f s: the engine is given up.", limit)
                return

    def _run(self) -> None:
        self._begin()
        try:
            while not self._stopping:
                if self._resting:
                    self._rest()
                    continue
                self._busy_since = time.monotonic()
                worked = self._core.step()
                self._busy_since = None
                # Told to stop or rest while the step cleared the bell, nothing would ring it again.
                if not worked and not self._stopping and not self._resting:
                    self._bell.wait()
        except Exception as error:
            _log.exception("The engine stopped.")
            self._died(error)

    def _rest(self) -> None:
        self._bell.clear()
        self._at_rest.set()
        # Told otherwise before the bell was cleared, nothing would ring it again.
        if self._resting and not self._stopping:
            self._bell.wait()
