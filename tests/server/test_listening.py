import asyncio
import socket
from pathlib import Path

import pytest

from server.errors import InvalidSettings
from server.listening import listening
from server.settings import Settings


def settings(host: str, port: int = 0) -> Settings:
    return Settings(base="none", host=host, port=port, store=Path("none"))


def test_a_port_is_held_before_anybody_can_connect() -> None:
    with listening(settings("127.0.0.1")) as (held,), socket.socket() as client:
        with pytest.raises(ConnectionRefusedError):
            client.connect(held.getsockname())
        held.listen()
        second = listening(settings("127.0.0.1", held.getsockname()[1]))
        with pytest.raises(InvalidSettings, match="is taken"):
            second.__enter__()


def test_all_addresses_of_a_name_have_one_port() -> None:
    expected = {info[4][0] for info in socket.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)}
    with listening(settings("localhost")) as sockets:
        assert {each.getsockname()[0] for each in sockets} == expected
        assert len({each.getsockname()[1] for each in sockets}) == 1


async def test_what_is_written_is_sent_at_once() -> None:
    """Else a client's system may hold the second half of each answer back, for 40 ms on Linux."""
    told: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    class Telling(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            accepted = transport.get_extra_info("socket")
            told.set_result(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    with listening(settings("127.0.0.1")) as (held,):
        server = await asyncio.get_running_loop().create_server(Telling, sock=held)
        _, writer = await asyncio.open_connection(*held.getsockname())
        assert await told
        writer.close()
        await writer.wait_closed()
        server.close()
