"""Ports for servers of a test's own."""

import socket
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def held_port() -> Generator[int]:
    """A port of this machine that the system gives nobody else meanwhile.

    A server can listen on it, since both say that they share their address, and until it does,
    whoever connects is refused.
    """
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]
