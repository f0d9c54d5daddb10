"""Signals that end a measurement do so in order: what it started ends with it."""

import signal
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def ending_in_order() -> Generator[None]:
    """Let SIGTERM and a closed terminal do what Ctrl-C does to what runs inside.

    Raises SystemExit with the signal's status afterwards. A signal that is ignored stays so.
    """
    before = {
        number: handler
        for number in (signal.SIGTERM, signal.SIGHUP)
        if (handler := signal.getsignal(number)) is not signal.SIG_IGN
    }
    received: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        # A terminal that closes says so twice, by the kernel and by its shell.
        for each in before:
            signal.signal(each, signal.SIG_IGN)
        received.append(number)
        handler = signal.getsignal(signal.SIGINT)
        if callable(handler):
            # While an event loop runs it is the loop's own, which cancels what runs there.
            handler(signal.SIGINT, frame)
        else:
            # What a script starts in its background ignores Ctrl-C, and has none.
            raise KeyboardInterrupt

    for number in before:
        signal.signal(number, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        if received:
            raise SystemExit(128 + received[0]) from None
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
