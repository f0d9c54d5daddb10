"""Directories on the web: files that are found by their names beneath an address."""

import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager

from server.errors import SourceUnavailable
from server.registry.sources.digest import Digest
from server.registry.sources.http import Http, Response
from server.registry.sources.remote import Cut, Opened

_ABSENT = frozenset({401, 403, 404, 410})
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")


class Web:
    """The files beneath an address that ends in a slash, with a token for its host if need be."""

    def __init__(self, url: str, http: Http, token: str | None = None) -> None:
        self._url = url
        self._http = http
        self._token = token

    @contextmanager
    def open(self, name: str, start: int = 0, tag: str | None = None) -> Generator[Opened | None]:
        """Begin to read a file, or go on with it."""
        with open_url(self._http, self._url + name, start, tag, self._token) as opened:
            yield opened


@contextmanager
def open_url(
    http: Http,
    url: str,
    start: int,
    tag: str | None,
    token: str | None = None,
    digest: Digest | None = None,
) -> Generator[Opened | None]:
    """Begin to read what is at an address, or go on with it; see `Remote.open`.

    A digest that is known takes the place of one that the answer tells.
    """
    headers = {"range": f"bytes={start}-"} if start else {}
    if start and tag is not None:
        headers["if-range"] = tag
    with http.request("GET", url, headers, token) as response:
        if response.status in _ABSENT:
            yield None
            return
        told = digest or Digest.told(response.headers)
        whole = _rest(response, start, tag) if start else _whole(response)
        yield Opened(whole, _tag(response.headers), told, response.pieces)


def _whole(response: Response) -> int:
    if response.status != 200:
        raise SourceUnavailable(f"The source answered with status {response.status}.")
    size = response.headers.get("content-length", "")
    if not size.isdecimal():
        raise SourceUnavailable(
            "The source does not tell how large its files are (Content-Length); have it do so, or "
            "upload them."
        )
    return int(size)


def _rest(response: Response, start: int, tag: str | None) -> int:
    place = _RANGE.fullmatch(response.headers.get("content-range", ""))
    if response.status == 206 and place and int(place[1]) == start:
        if tag is None or _tag(response.headers) == tag:
            return int(place[2])
    elif response.status == 206:
        raise Cut("it answered with another part than was asked for")
    raise SourceUnavailable(
        "A file changed while it was fetched, or its source cannot go on after a cut; try again."
    )


def _tag(headers: Mapping[str, str]) -> str | None:
    """The entity tag, if it is a strong one: a weak one does not stand for the very bytes."""
    tag = headers.get("etag", "")
    return tag if tag.startswith('"') else None
