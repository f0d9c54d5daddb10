"""The serving loop: the event loop that an engine serves from, as other threads reach it."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVarTuple

Arguments = TypeVarTuple("Arguments")


class ServingLoop:
    """Calls functions on one event loop, once that has begun and until it ends."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def began(self) -> bool:
        """Whether there is a loop."""
        return self._loop is not None

    def begin(self) -> None:
        """Call from the running loop from now on."""
        self._loop = asyncio.get_running_loop()

    def call(self, function: Callable[[*Arguments], object], *arguments: *Arguments) -> None:
        """Have the loop call a function soon, from any thread; without a loop nobody listens."""
        if self._loop is not None:
            # The registry changes tasks even while the loop ends.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(function, *arguments)
