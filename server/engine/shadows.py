"""Shadows: a task's requests answered once more, by a version whose answers nobody gets."""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from deltas.errors import PolydeltaError
from server.engine.agreement import agreement
from server.engine.answer import Answer
from server.engine.output import Output
from server.engine.request import Call, Request
from server.engine.tally import Counts
from server.errors import Aborted, EngineDead, ShuttingDown
from server.registry.lease import Lease

_log = logging.getLogger(__name__)

_PATIENCE = 60.0
"""Seconds in which a shadow gets what it needs of what others leave, or is dropped."""


def seeded(request: Request) -> Request:
    """A request whose answers draw the same luck if it is asked again."""
    sampling = request.sampling
    if sampling.seed is not None:
        return request
    return replace(request, sampling=replace(sampling, seed=secrets.randbits(48)))


class Shadows:
    """Has requests answered in the background and compares; for one event loop.

    `begin` submits a request to a lease's version. At most so many are under way, the others are
    dropped.
    """

    def __init__(self, begin: Callable[[Request, Lease], Awaitable[Answer]], most: int) -> None:
        self._begin = begin
        self._most = most
        self._tasks: set[asyncio.Task[None]] = set()

    def follow(
        self, request: Request, said: Sequence[Output], lease: Lease, counts: Counts
    ) -> None:
        """Answer once more what was answered so, and count how like that is."""
        if len(self._tasks) >= self._most:
            counts.dropped += 1
            lease.release()
            return
        asked = replace(request, id=f"{request.id}-shadow", call=Call(), background=True)
        task = asyncio.create_task(self._compare(asked, said, lease, counts))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # One that is dropped before it begins releases nothing itself.
        task.add_done_callback(lambda _: lease.release())

    def drop(self) -> None:
        """Give up all that is under way."""
        for task in self._tasks:
            task.cancel()

    async def _compare(
        self, request: Request, said: Sequence[Output], lease: Lease, counts: Counts
    ) -> None:
        try:
            async with asyncio.timeout(_PATIENCE), await self._begin(request, lease) as answer:
                counts.compare(agreement(said, await answer.outputs()))
        except (TimeoutError, ShuttingDown, Aborted, EngineDead):
            counts.dropped += 1
        except asyncio.CancelledError:
            counts.dropped += 1
            raise
        except PolydeltaError:
            counts.missed += 1
        except Exception:
            counts.missed += 1
            _log.exception("The shadow of a request of task '%s' failed.", lease.task)
