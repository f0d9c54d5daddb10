"""Listening: the sockets of a server, taken before anything that takes long."""

import errno
import socket
from collections.abc import Generator
from contextlib import ExitStack, contextmanager

from server.errors import InvalidSettings
from server.settings import Settings

BACKLOG = 4096
"""Connections that the system holds until the server comes to them; Linux holds no more."""

_SEND_BUFFER = 128 << 10
"""Bytes that the system takes for a reader.

Left to itself it takes megabytes, and tells only after a third of them that any were read.
"""


@contextmanager
def listening(settings: Settings) -> Generator[list[socket.socket]]:
    """Hold the address and port to listen on; nobody can connect yet.

    Raises InvalidSettings saying which flag to change.
    """
    with ExitStack() as stack:
        host, port = settings.host, settings.port
        bound: list[socket.socket] = []
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            for family, _, _, _, address in found:
                # Only of a socket that says so does asyncio know that it is TCP, and sends at once.
                tcp = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
                taken = stack.enter_context(tcp)
                _bind(taken, (address[0], port, *address[2:]))
                # All addresses of a name share the port that the first one was given for 0.
                port = taken.getsockname()[1]
                bound.append(taken)
        except OSError as error:
            raise InvalidSettings(_advice(error, host, port)) from error
        yield bound


def _bind(taken: socket.socket, address: tuple[object, ...]) -> None:
    # Connections of a server that has ended must not keep the next one from its port.
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
    if taken.family == socket.AF_INET6:
        taken.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    taken.bind(address)


def _advice(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} on {host} is taken, perhaps by another server: stop that one, or choose "
            f"another port with --port {port + 1}; --port 0 takes a free one."
        )
    if error.errno == errno.EACCES:
        return f"Port {port} is the system's own: choose one above 1023 with --port."
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return (
            f"This machine has no address {host}: --host takes 127.0.0.1 for programs of this "
            "machine, or 0.0.0.0 for all."
        )
    return f"{host}:{port} cannot be listened on: {error.strerror}."
