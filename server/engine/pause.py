"""Pauses: times in which an engine begins nothing."""

import asyncio
from typing import Literal, TypeAlias

PauseMode: TypeAlias = Literal["abort", "wait", "keep"]
"""What becomes of the requests under way: they fail, they are finished, or they rest."""


class Gate:
    """Where new requests wait while an engine is paused; for one event loop."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()

    @property
    def closed(self) -> bool:
        """Whether an engine is paused."""
        return not self._open.is_set()

    def close(self) -> None:
        """Let everyone wait from now on."""
        self._open.clear()

    def open(self) -> None:
        """Let everyone go on."""
        self._open.set()

    async def passed(self, patience: float | None) -> None:
        """Wait until the gate is open, but no longer than `patience` seconds."""
        if self.closed:
            try:
                async with asyncio.timeout(patience):
                    await self._open.wait()
            except TimeoutError:
                return
