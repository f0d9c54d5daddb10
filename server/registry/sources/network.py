"""Connections to public addresses alone, each to the very address that was looked at."""

import socket
import ssl
import time
from collections.abc import Callable, Iterable

import httpcore2

from server.errors import InvalidRequest
from server.registry.sources.public import is_public
from server.registry.sources.transfer import Transfer

_SLICE = 0.5
"""Seconds after which a wait looks whether its transfer has ended."""

_CONNECT_SECONDS = 10.0


def resolve(host: str, port: int) -> list[str]:
    """The IP addresses that a name stands for now; raises OSError if there is none."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class Network(httpcore2.NetworkBackend):
    """Opens connections for one transfer.

    A name is resolved once for each connection, and the connection goes to what was found then, so
    that no second answer can lead elsewhere. With `private`, any address will do.
    """

    def __init__(
        self,
        transfer: Transfer,
        private: bool,
        resolve: Callable[[str, int], list[str]] = resolve,
    ) -> None:
        self._transfer = transfer
        self._private = private
        self._resolve = resolve

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        """Connect; raises InvalidRequest where a name stands for a private address."""
        del timeout, local_address, socket_options
        try:
            addresses = self._resolve(host, port)
        except OSError as error:
            raise httpcore2.ConnectError(f"{host} is not found") from error
        if not self._private and not all(map(is_public, addresses)):
            raise InvalidRequest(
                f"{host} is no public address, and nothing is fetched from others unless the "
                "operator starts the server with --private-sources.",
                param="source",
            )
        for address in addresses:
            self._transfer.check()
            limit = min(_CONNECT_SECONDS, self._transfer.left())
            try:
                return _Stream(socket.create_connection((address, port), limit), self._transfer)
            except OSError:
                continue
        raise httpcore2.ConnectError(f"{host} cannot be reached")


class _Stream(httpcore2.NetworkStream):
    """A socket whose reader ends with its transfer, and counts how long it waits."""

    def __init__(self, connection: socket.socket, transfer: Transfer) -> None:
        self._socket = connection
        self._transfer = transfer

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what there is, waiting for the first of it; empty at the end."""
        del timeout
        self._socket.settimeout(_SLICE)
        while True:
            self._transfer.check()
            began = time.monotonic()
            try:
                return self._socket.recv(max_bytes)
            except TimeoutError:
                continue
            except OSError as error:
                raise httpcore2.ReadError("the connection broke") from error
            finally:
                self._transfer.waited(time.monotonic() - began)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all of a request, which is short."""
        del timeout
        self._socket.settimeout(_CONNECT_SECONDS)
        try:
            self._socket.sendall(buffer)
        except OSError as error:
            raise httpcore2.WriteError("the connection broke") from error

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        """Go on under TLS, the server having shown who it is."""
        del timeout
        self._socket.settimeout(min(_CONNECT_SECONDS, max(_SLICE, self._transfer.left())))
        try:
            wrapped = ssl_context.wrap_socket(self._socket, server_hostname=server_hostname)
        except ssl.SSLCertVerificationError as error:
            self.close()
            raise httpcore2.ConnectError(
                f"its certificate is not trusted ({error.verify_message})"
            ) from error
        except OSError as error:
            self.close()
            raise httpcore2.ConnectError("no TLS connection could be made") from error
        return _Stream(wrapped, self._transfer)
