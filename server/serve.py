"""Serving: the application on a socket, until a signal ends it in an orderly way."""

import asyncio
import gc
import socket
from types import FrameType

import uvicorn

from server.api.protocol import MAX_HEAD_BYTES, BoundedProtocol
from server.app import create_app
from server.engine.engine import Engine
from server.settings import Settings

_FLUSH_SECONDS = 5


def serve(engine: Engine, settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then finish what runs; a second signal ends at once."""
    server = build_server(engine, settings)
    # What is loaded by now stays: unless it is left out, the collector goes through all of it
    # whenever a request makes many objects, for tenths of a second.
    gc.collect()
    gc.freeze()
    server.run()


def build_server(engine: Engine, settings: Settings) -> "DrainingServer":
    """Put an engine on a socket."""
    config = uvicorn.Config(
        create_app(engine, settings),
        host=settings.host,
        port=settings.port,
        http=BoundedProtocol,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        ws="none",
        access_log=settings.log_level == "debug",
        log_level=settings.log_level,
        proxy_headers=False,
        server_header=False,
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
        """Take a signal: the second one ends the process without waiting."""
        del sig, frame
        self.force_exit = self.should_exit
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then close."""
        drained = asyncio.create_task(self._engine.stop(self._timeout))
        while not drained.done() and not self.force_exit:
            await asyncio.wait((drained,), timeout=0.1)
        if not self.force_exit:
            await super().shutdown(sockets)
