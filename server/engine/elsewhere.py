"""What servers elsewhere have: tasks that were just put there, and files that come from there."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from deltas.delta import DeltaRef
from deltas.errors import PolydeltaError
from server.errors import DeadlineExceeded
from server.registry.names import TaskName
from server.registry.registry import Registry

_MOST_SOUGHT = 64
_SEEK_SECONDS = 2.0


class Elsewhere:
    """Waits for the registry on threads of its own; for one event loop."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="seek")
        self._sought = 0

    async def has(self, task: TaskName) -> bool:
        """Whether a task that is not here was put by another server.

        Where that cannot be told, or very many ask, there is none.
        """
        if self._sought == _MOST_SOUGHT:
            return False
        self._sought += 1
        try:
            loop = asyncio.get_running_loop()
            seeking = loop.run_in_executor(self._threads, self._registry.seek, task)
            return await asyncio.wait_for(seeking, _SEEK_SECONDS)
        except (PolydeltaError, TimeoutError):
            return False
        finally:
            self._sought -= 1

    async def bring(self, ref: DeltaRef, patience: float | None) -> None:
        """Wait for a version's files, if they are on their way from elsewhere.

        Raises DeltaUnavailable where they cannot be had, DeadlineExceeded after `patience` seconds.
        """
        coming = self._registry.coming(ref)
        if coming is None:
            return
        try:
            await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(coming)), patience)
        except TimeoutError:
            raise DeadlineExceeded(
                f"The files of task '{ref.task}' are still being fetched; ask for it again."
            ) from None

    def close(self) -> None:
        """Seek no more."""
        self._threads.shutdown(wait=False, cancel_futures=True)
