"""How much a server computes between two turns of its event loop, as itself can tell.

A clock on the wall also shows what other programs do to a busy machine.
"""

import asyncio
import time
from socket import socket

from server.serve import DrainingServer
from tests.forked import FORKS

_BEAT = 0.001


class Turns:
    """Shared with the server's process: the longest time between two turns, and their count."""

    def __init__(self) -> None:
        self._shared = FORKS.Array("d", 2, lock=False)

    def forget(self) -> None:
        """Begin anew."""
        self._shared[0] = 0.0

    def longest(self) -> float:
        """The longest since `forget`, in seconds, what is going on included."""
        before = self._shared[1]
        while self._shared[1] < before + 2:
            time.sleep(_BEAT)
        return self._shared[0]

    def watch(self) -> None:
        """Let this process's server count its turns from its start on."""
        start = DrainingServer.startup

        async def startup(server: DrainingServer, sockets: list[socket] | None = None) -> None:
            await start(server, sockets)
            self._counting = asyncio.create_task(self._count())

        DrainingServer.startup = startup

    async def _count(self) -> None:
        clock = time.monotonic(), time.process_time()
        while True:
            await asyncio.sleep(_BEAT)
            before, clock = clock, (time.monotonic(), time.process_time())
            # Of what several threads compute at once only the longest counts, of waiting nothing.
            passed = min(now - then for now, then in zip(clock, before, strict=True))
            self._shared[0] = max(self._shared[0], passed - _BEAT)
            self._shared[1] += 1
