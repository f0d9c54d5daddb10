"""Writes: the threads on which tasks are changed, so that nothing else waits for a disk."""

import asyncio
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Annotated, ParamSpec, TypeAlias, TypeVar

from fastapi import Depends, Request

from server.errors import QueueFull

T = TypeVar("T")
P = ParamSpec("P")


def _nothing() -> None:
    pass


class Writes:
    """A few threads of their own; as many deltas may come in at once. For one event loop."""

    def __init__(self, places: int) -> None:
        self._free = places
        # One more: what is short, such as a removal, does not wait for deltas that come slowly.
        self._threads = ThreadPoolExecutor(places + 1, thread_name_prefix="writes")

    @contextmanager
    def place(self) -> Generator[None]:
        """Hold a place for a delta that comes in; raises QueueFull where there is none."""
        if not self._free:
            raise QueueFull("As many deltas as may are being put already; try again shortly.")
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do blocking work on one of the threads; even a cancelled caller waits for its end."""
        return await self.run_until(partial(work, *args, **kwargs), _nothing)

    async def run_until(self, work: Callable[[], T], cancel: Callable[[], None]) -> T:
        """Do so with work that may take long, and ends soon after `cancel` is called."""
        loop = asyncio.get_running_loop()
        done = loop.run_in_executor(self._threads, work)
        try:
            return await asyncio.shield(done)
        except asyncio.CancelledError:
            cancel()
            await asyncio.wait((done,))
            raise

    def close(self) -> None:
        """Let the threads end once they have nothing left to do."""
        self._threads.shutdown(wait=False)


async def _writes(http: Request) -> Writes:
    return http.app.state.writes


WritesDep: TypeAlias = Annotated[Writes, Depends(_writes)]
