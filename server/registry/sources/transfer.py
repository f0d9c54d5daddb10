"""Transfers: deltas on their way in from elsewhere, bounded in size and time, told and ended."""

import logging
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event

from deltas.errors import InvalidDelta
from server.errors import SourceUnavailable
from server.registry.tally import Counted, Tally

_log = logging.getLogger(__name__)

_TELL_SECONDS = 5.0


@dataclass(frozen=True)
class Bounds:
    """What one transfer may take: bytes, seconds, and at least so many bytes a second.

    The rate is held to whenever `window` seconds were spent waiting for the network. A file may
    bring nothing new `tries` times in a row.
    """

    bytes: int
    seconds: float = 600.0
    rate: int = 16 << 10
    window: float = 20.0
    tries: int = 5


class Transfer:
    """One delta's way in; any thread may cancel it.

    `shown` is told after every piece how many bytes have come, and of how many that are known of;
    `tally` counts by `scheme`.
    """

    def __init__(
        self,
        what: str,
        bounds: Bounds,
        shown: Callable[[int, int], None] | None = None,
        tally: Tally | None = None,
        scheme: str = "",
    ) -> None:
        self.what = what
        self.received = 0
        self.known = 0
        self.tries = bounds.tries
        self._bounds = bounds
        self._shown = shown
        self._tally = tally or Tally()
        self._scheme = scheme
        self._cancelled = Event()
        self._began = time.monotonic()
        self._told = self._began
        self._waited = 0.0
        self._before = 0

    def cancel(self) -> None:
        """End it: whoever waits for the network raises within half a second."""
        self._cancelled.set()

    @contextmanager
    def counted(self) -> Generator[None]:
        """Count what is fetched meanwhile as one transfer."""
        began = time.monotonic()
        try:
            with self._tally.outcome(Counted.FETCHES, self._scheme):
                yield
        finally:
            seconds = time.monotonic() - began
            self._tally.add(Counted.FETCHING_SECONDS, self._scheme, amount=seconds)

    def check(self) -> None:
        """Raise SourceUnavailable once it is cancelled or has taken too long."""
        if self._cancelled.is_set():
            raise SourceUnavailable("The transfer was given up, since nobody waits for it.")
        if time.monotonic() - self._began > self._bounds.seconds:
            raise SourceUnavailable(
                f"{self.what} did not come within {self._bounds.seconds:g} seconds; have the "
                "operator raise --source-timeout, or upload the files."
            )

    def left(self) -> float:
        """Seconds until it has taken too long."""
        return max(0.0, self._began + self._bounds.seconds - time.monotonic())

    def sleep(self, seconds: float) -> None:
        """Wait, unless it ends meanwhile."""
        self._cancelled.wait(min(seconds, self.left()))
        self.check()

    def expect(self, size: int) -> None:
        """Know of so many more bytes that will come; raises InvalidDelta if they are too many."""
        if self.known + size > self._bounds.bytes:
            raise InvalidDelta(
                f"{self.what} is too large: at most {self._bounds.bytes} bytes are taken."
            )
        self.known += size

    def waited(self, seconds: float) -> None:
        """Count a wait for the network; raises SourceUnavailable if too little came in return."""
        self._waited += seconds
        if self._waited < self._bounds.window:
            return
        if self.received - self._before < self._bounds.rate * self._waited:
            raise SourceUnavailable(
                f"{self.what} comes at less than {self._bounds.rate} bytes a second; try again "
                "later, or upload the files."
            )
        self._waited, self._before = 0.0, self.received

    def advance(self, size: int) -> None:
        """Count bytes that have come."""
        self.received += size
        self._tally.add(Counted.FETCHED_BYTES, self._scheme, amount=size)
        if self._shown is not None:
            self._shown(self.received, self.known)
        now = time.monotonic()
        if now - self._told >= _TELL_SECONDS:
            self._told = now
            _log.info("Fetching %s: %d of %d bytes.", self.what, self.received, self.known)

    def end(self) -> None:
        """Say in the log that it has come whole."""
        seconds = time.monotonic() - self._began
        _log.info("Fetched %s: %d bytes in %.1f s.", self.what, self.received, seconds)
