"""Where the client looks for its server."""

import asyncio
import gc

import httpx2
import pytest

from polydelta_client import AsyncPolydelta, Polydelta
from polydelta_client._settings import DEFAULT_TIMEOUT, Settings

from .answers import health
from .conftest import Connect
from .server import ScriptedServer, answer


def test_the_environment_fills_what_is_left_out(
    monkeypatch: pytest.MonkeyPatch, connect: Connect, server: ScriptedServer
) -> None:
    monkeypatch.setenv("POLYDELTA_BASE_URL", server.url + "/")
    monkeypatch.setenv("POLYDELTA_API_KEY", "from-environment")
    server.script(answer(health()), answer(health()))
    connect(base_url=None).health()
    connect(base_url=None, api_key="given").health()
    keys = [received.headers["authorization"] for received in server.received]
    assert keys == ["Bearer from-environment", "Bearer given"]


def test_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POLYDELTA_BASE_URL", raising=False)
    monkeypatch.delenv("POLYDELTA_API_KEY", raising=False)
    settings = Settings.resolve(None, None, DEFAULT_TIMEOUT, 2)
    assert settings.base_url == "http://127.0.0.1:8000"
    assert "authorization" not in settings.headers


@pytest.mark.parametrize("client_class", [Polydelta, AsyncPolydelta])
def test_an_address_without_a_scheme(client_class: type[Polydelta | AsyncPolydelta]) -> None:
    with pytest.raises(ValueError, match="must start with http"):
        client_class("localhost:8000")


@pytest.mark.parametrize("url", ["http://x:8000/v1", "http://x:8000/v1/"])
def test_an_address_for_other_clients(url: str) -> None:
    with pytest.raises(ValueError, match=r"without /v1 .*'http://x:8000'"):
        Polydelta(url)


def test_an_async_client_outlives_an_event_loop(server: ScriptedServer) -> None:
    client = AsyncPolydelta(server.url, max_retries=0)
    server.script(answer(health()), answer(health()), answer(health()), answer(health()))

    async def twice() -> None:
        await asyncio.gather(client.health(), client.health())

    # Connections that outlive their loop would warn, and warnings are errors here.
    asyncio.run(twice())
    asyncio.run(twice())
    gc.collect()
    assert len(server.received) == 4


def test_a_closed_client_stays_closed(connect: Connect) -> None:
    client = connect()
    client.close()
    with pytest.raises(RuntimeError, match="has been closed"):
        client.health()


def test_a_client_of_the_callers_own_stays_open(server: ScriptedServer) -> None:
    server.script(answer(health()))
    with httpx2.Client(headers={"x-mine": "1"}) as mine:
        with Polydelta(server.url, http_client=mine) as client:
            client.health()
        assert not mine.is_closed
    assert server.received[0].headers["x-mine"] == "1"


async def test_an_async_client_of_the_callers_own_stays_open(server: ScriptedServer) -> None:
    server.script(answer(health()))
    async with httpx2.AsyncClient(headers={"x-mine": "1"}) as mine:
        async with AsyncPolydelta(server.url, http_client=mine) as client:
            await client.health()
        assert not mine.is_closed
    assert server.received[0].headers["x-mine"] == "1"
