"""Connections of an async client, which belong to the event loop that they were opened on."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import httpx2


@dataclass(frozen=True)
class _Pool:
    client: httpx2.AsyncClient
    holder: AsyncGenerator[None]


@dataclass
class AsyncConnections:
    """A pool of connections for each event loop that calls are made from."""

    _pools: dict[asyncio.AbstractEventLoop, _Pool] = field(default_factory=dict)
    _closed: bool = False

    async def client(self) -> httpx2.AsyncClient:
        """Return the running loop's pool; raise RuntimeError once these are closed."""
        if self._closed:
            raise RuntimeError("the client has been closed: make a new one")
        loop = asyncio.get_running_loop()
        if loop not in self._pools:
            client = httpx2.AsyncClient()
            self._pools[loop] = _Pool(client, self._hold(loop, client))
            await anext(self._pools[loop].holder)
        return self._pools[loop].client

    async def close(self) -> None:
        """Close the running loop's pool; those of loops that have ended are closed already."""
        self._closed = True
        pool = self._pools.get(asyncio.get_running_loop())
        if pool is not None:
            await pool.holder.aclose()

    async def _hold(
        self, loop: asyncio.AbstractEventLoop, client: httpx2.AsyncClient
    ) -> AsyncGenerator[None]:
        """Keep a pool until this is closed; asyncio closes generators before a loop ends."""
        try:
            yield
        finally:
            del self._pools[loop]
            await client.aclose()
