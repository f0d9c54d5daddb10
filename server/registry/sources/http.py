"""HTTP for one transfer: what is asked, followed and believed of servers that are not trusted."""

import ssl
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import httpcore2

from server.errors import InvalidRequest, SourceUnavailable
from server.registry.sources.network import Network
from server.registry.sources.remote import Cut
from server.registry.sources.transfer import Transfer

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS = 5

_TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Response:
    """A status, headers by their names in small letters, and the body as it comes."""

    status: int
    headers: Mapping[str, str]
    pieces: Iterator[bytes]

    def read(self, most: int) -> bytes:
        """Read a whole body of at most so many bytes; raises SourceUnavailable if it is longer."""
        body = b""
        for piece in self.pieces:
            body += piece
            if len(body) > most:
                raise SourceUnavailable("The source answered with more than can be its answer.")
        return body


class Http:
    """A client of one transfer, over https alone; with `private`, over http and to any address.

    It keeps no cookies, knows no proxies, and takes bodies only as they are, never compressed.
    """

    def __init__(self, transfer: Transfer, private: bool) -> None:
        self._schemes = ("https", "http") if private else ("https",)
        self._pool = httpcore2.ConnectionPool(
            ssl_context=ssl.create_default_context(),
            max_connections=1,
            network_backend=Network(transfer, private),
        )

    @contextmanager
    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        token: str | None = None,
        content: bytes | None = None,
    ) -> Generator[Response]:
        """Ask, following redirects; the token goes to the host of `url` and to no other.

        Raises Cut where trying again may help, InvalidRequest for an address that is not allowed,
        SourceUnavailable for an answer that cannot be used.
        """
        home = _origin(url)
        for _ in range(_MAX_REDIRECTS + 1):
            self._check(url)
            sent = {"accept-encoding": "identity", "user-agent": "polydelta", **headers}
            if token is not None and _origin(url) == home:
                sent["authorization"] = f"Bearer {token}"
            with self._once(method, url, sent, content) as response:
                if response.status not in _REDIRECTS:
                    yield _usable(response)
                    return
                target = response.headers.get("location", "")
            url = _joined(url, target)
        raise SourceUnavailable("The source leads from one address to the next without an end.")

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()

    def _check(self, url: str) -> None:
        if not _is_plain(url) or urlsplit(url).scheme not in self._schemes:
            raise InvalidRequest(
                "The source is at, or leads to, an address that is not fetched: only https:// is, "
                "unless the operator starts the server with --private-sources.",
                param="source",
            )

    @contextmanager
    def _once(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | None
    ) -> Generator[Response]:
        sent = [("host", urlsplit(url).netloc), *headers.items()]
        if content is not None:
            sent.append(("content-length", str(len(content))))
        with _cuts(), self._pool.stream(method, url, headers=sent, content=content) as response:
            told = {
                name.decode("latin-1").lower(): value.decode("latin-1")
                for name, value in response.headers
            }
            yield Response(response.status, told, _pieces(response.iter_stream()))


def _pieces(stream: Iterator[bytes]) -> Iterator[bytes]:
    with _cuts():
        yield from stream


@contextmanager
def _cuts() -> Generator[None]:
    try:
        yield
    except (httpcore2.NetworkError, httpcore2.TimeoutException) as error:
        raise Cut(str(error)) from None
    except httpcore2.ProtocolError:
        raise Cut("the connection broke") from None


def _usable(response: Response) -> Response:
    if response.status in _TRY_AGAIN:
        raise Cut(f"it answered with status {response.status}")
    if response.headers.get("content-encoding", "identity") != "identity":
        raise SourceUnavailable(
            "The source sends compressed what was asked for as it is; have it serve the files "
            "themselves, or upload them."
        )
    return response


def _joined(url: str, target: str) -> str:
    try:
        return urljoin(url, target)
    except ValueError:
        return ""


def _is_plain(url: str) -> bool:
    """Whether an address is of a host, without credentials and whatever could be misread."""
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.username is None and url.isascii() and parts.port != 0
    except ValueError:
        return False


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc
