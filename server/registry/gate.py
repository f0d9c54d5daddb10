"""Gates: work is let in until the gate closes, which waits for what is inside."""

from collections.abc import Generator
from contextlib import contextmanager
from threading import Condition

from server.errors import ShuttingDown


class Gate:
    """Counts who is inside; thread-safe."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._inside = 0
        self._open = True

    @contextmanager
    def passed(self) -> Generator[None]:
        """Be inside; raises ShuttingDown once the gate is closed."""
        with self._changed:
            if not self._open:
                raise ShuttingDown("The server is shutting down; try another one.")
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    def close(self) -> None:
        """Let nobody in any more, and wait until all are out."""
        with self._changed:
            self._open = False
            self._changed.wait_for(lambda: self._inside == 0)
