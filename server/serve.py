"""Serving: the application on a socket, until a signal ends it in an orderly way."""

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import Sequence
from types import FrameType

import uvicorn
from uvicorn.config import LOGGING_CONFIG

from server.api.http.places import Places
from server.api.http.protocol import BoundedProtocol
from server.api.http.turns import Turns
from server.app import create_app
from server.engine.engine import Engine
from server.listening import BACKLOG
from server.settings import Settings
from server.system.open_files import connections_within

_log = logging.getLogger(__name__)

_FLUSH_SECONDS = 5
_KEEP_ALIVE_SECONDS = 15
"""For how long a connection may idle: longer than clients keep one, 5 seconds as a rule.

Who closes it is to be the client: what it sends while the server closes it is lost.
"""
_ACCEPTED_AT_ONCE = 32


def serve(engine: Engine, settings: Settings, sockets: Sequence[socket.socket]) -> None:
    """Serve until SIGTERM or SIGINT, then finish what runs; a second signal cuts that short."""
    server = build_server(engine, settings)
    # What is loaded by now stays: unless it is left out, the collector goes through all of it
    # whenever a request makes many objects, for tenths of a second.
    gc.collect()
    gc.freeze()
    # Once the server has ended, nothing is left that one more signal could spoil.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    server.run(list(sockets))


def build_server(engine: Engine, settings: Settings) -> "DrainingServer":
    """Put an engine behind a protocol of its own."""
    connections = connections_within(settings.max_connections)
    # Of the places, some are always left to those that have yet to say what they want.
    requests = connections - connections // 16

    class Protocol(BoundedProtocol):
        places = Places(connections)
        turns = Turns()

    config = uvicorn.Config(
        create_app(engine, settings, requests),
        http=Protocol,
        backlog=_ACCEPTED_AT_ONCE,
        ws="none",
        access_log=settings.log_level == "debug",
        log_level=settings.log_level,
        # Its own way of writing is for people.
        log_config=None if settings.log_format == "json" else LOGGING_CONFIG,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_FLUSH_SECONDS,
    )
    return DrainingServer(config, engine, settings.drain_timeout)


class DrainingServer(uvicorn.Server):
    """Refuses new work over its open socket while running work gets `timeout` seconds to end."""

    def __init__(self, config: uvicorn.Config, engine: Engine, timeout: float) -> None:
        super().__init__(config)
        self._engine = engine
        self._timeout = timeout

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal: the second one waits for no request, the third for nothing at all."""
        del frame
        if self.force_exit:
            os._exit(128 + sig)
        self.force_exit = self.should_exit
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        for each in sockets or ():
            # The loop accepts as many at a time as its backlog is long, while health waits; the
            # system's own may be as long as it likes.
            each.listen(BACKLOG)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then close; once that is forced, cut what is left."""
        if count := len(self.server_state.tasks):
            requests = "1 request" if count == 1 else f"{count} requests"
            _log.info("Finishing %s, for at most %g s; again to stop now.", requests, self._timeout)
        drained = asyncio.create_task(self._engine.stop(self._timeout))
        while not drained.done() and not self.force_exit:
            await asyncio.wait((drained,), timeout=0.1)
        if not self.force_exit:
            return await super().shutdown(sockets)
        # Requests end as if their clients had left, and with the last the engine.
        for connection in self.server_state.connections:
            connection.transport.abort()
        await asyncio.wait((drained, *self.server_state.tasks))
        return await self.lifespan.shutdown()
