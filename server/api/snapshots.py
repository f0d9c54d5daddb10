"""Snapshots of the server, one a second, made once for all who listen and for nobody else."""

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Annotated, TypeAlias

from fastapi import Depends, Request

from server.api.http.events import NamedEvent
from server.engine.engine import Engine
from server.errors import Overloaded
from server.metrics import Metrics

_MOST_LISTENERS = 32
_SECONDS = 1.0


class Snapshots:
    """What listeners are sent. Who reads slowly misses some; the engine waits for nobody."""

    def __init__(self, engine: Engine, metrics: Metrics) -> None:
        self._engine = engine
        self._metrics = metrics
        self._listeners = 0
        self._coming: asyncio.Task[NamedEvent] | None = None

    async def listen(self) -> AsyncGenerator[NamedEvent]:
        """Snapshots until the server drains; raises Overloaded where too many listen already."""
        if self._listeners >= _MOST_LISTENERS:
            raise Overloaded(f"{_MOST_LISTENERS} clients listen already; close one of them.")
        self._listeners += 1
        try:
            yield self._take()
            while not self._engine.draining:
                yield await self._next()
        finally:
            self._listeners -= 1

    async def _next(self) -> NamedEvent:
        if self._coming is None or self._coming.done():
            self._coming = asyncio.create_task(self._later())
        return await asyncio.shield(self._coming)

    async def _later(self) -> NamedEvent:
        await asyncio.sleep(_SECONDS)
        return self._take()

    def _take(self) -> NamedEvent:
        taken = self._metrics.snapshot(time.time())
        return NamedEvent("snapshot", taken.model_dump_json().encode())


async def _snapshots(request: Request) -> Snapshots:
    return request.app.state.snapshots


SnapshotsDep: TypeAlias = Annotated[Snapshots, Depends(_snapshots)]
