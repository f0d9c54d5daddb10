"""Turns: how requests that come at once share the event loop."""

import asyncio
from collections import deque
from collections.abc import Callable


class Turns:
    """Lets one request begin in each turn of the event loop, in the order in which they came.

    A turn runs all that is ready before it looks for anything new: were a thousand requests to
    begin in one, a check of the server's health would wait for them all.
    """

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._taken = False

    def take(self, begin: Callable[[], None]) -> None:
        """Begin now, or in a turn of its own."""
        if self._taken:
            self._waiting.append(begin)
        else:
            self._open(begin)

    def _open(self, begin: Callable[[], None]) -> None:
        self._taken = True
        asyncio.get_running_loop().call_soon(self._next)
        begin()

    def _next(self) -> None:
        self._taken = False
        if self._waiting:
            self._open(self._waiting.popleft())
