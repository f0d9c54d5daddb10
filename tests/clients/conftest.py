"""A scripted server, and a client of either sort to talk to it."""

import asyncio
from collections.abc import Generator
from typing import Any, Protocol, cast

import pytest

from polydelta_client import AsyncPolydelta, Polydelta

from .blocking import Blocking
from .server import ScriptedServer


class Connect(Protocol):
    """Opens a client of the scripted server."""

    def __call__(self, **options: Any) -> Polydelta: ...


@pytest.fixture(scope="session")
def running_server() -> Generator[ScriptedServer]:
    server = ScriptedServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def server(running_server: ScriptedServer) -> ScriptedServer:
    running_server.replies.clear()
    running_server.received.clear()
    running_server.cancelled.clear()
    return running_server


@pytest.fixture(params=["sync", "async"])
def connect(request: pytest.FixtureRequest, server: ScriptedServer) -> Generator[Connect]:
    with asyncio.Runner() as runner:
        opened: list[Polydelta] = []

        def open_client(**options: Any) -> Polydelta:
            options.setdefault("base_url", server.url)
            if request.param == "sync":
                client = Polydelta(**options)
            else:
                client = cast(Polydelta, Blocking(AsyncPolydelta(**options), runner))
            opened.append(client)
            return client

        yield open_client
        for client in opened:
            client.close()


@pytest.fixture
def client(connect: Connect) -> Polydelta:
    return connect()
