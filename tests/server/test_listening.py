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
