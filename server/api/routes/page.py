"""`/` and `/page/…`: the web page, as its files lie in `server/page`; nothing builds them."""

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import Scope

FOLDER = Path(__file__).parents[2] / "page"

_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
# The page shows what others wrote: task names, answers, errors. No text of theirs can become a
# script here, nor have anything fetched from elsewhere.
_POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "object-src 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "cache-control": "no-cache",
    "content-security-policy": _POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "vary": "accept, accept-encoding",
    "x-content-type-options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class _File:
    """A file of the page, as it is and compressed."""

    content: bytes
    compressed: bytes
    media_type: str
    etag: str

    @classmethod
    def read(cls, path: Path) -> "_File":
        content = path.read_bytes()
        return cls(
            content,
            gzip.compress(content, mtime=0),
            _MEDIA_TYPES[path.suffix],
            f'W/"{hashlib.sha256(content).hexdigest()[:16]}"',
        )

    def response(self, headers: Headers) -> Response:
        """Answer a request of these headers: 304 where its browser has the file."""
        own = _HEADERS | {"etag": self.etag}
        if self.etag in headers.get("if-none-match", ""):
            return Response(status_code=304, headers=own)
        if "gzip" not in headers.get("accept-encoding", ""):
            return Response(self.content, headers=own, media_type=self.media_type)
        own["content-encoding"] = "gzip"
        return Response(self.compressed, headers=own, media_type=self.media_type)


# Only what is listed here can be asked for: no path of a request reaches the file system.
_FILES = {
    path.relative_to(FOLDER).as_posix(): _File.read(path)
    for path in sorted(FOLDER.rglob("*"))
    if path.suffix in _MEDIA_TYPES
}


class _BrowserRoute(APIRoute):
    """A route that is there for browsers alone: for whoever accepts HTML."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether a request is meant."""
        if scope["type"] == "http" and "text/html" not in Headers(scope=scope).get("accept", ""):
            return Match.NONE, {}
        return super().matches(scope)


router = APIRouter(include_in_schema=False)
_browsers = APIRouter(route_class=_BrowserRoute)


@_browsers.api_route("/", methods=["GET", "HEAD"])
async def show_page(request: Request) -> Response:
    """Show the page."""
    return _FILES["index.html"].response(request.headers)


@router.api_route("/page/{path:path}", methods=["GET", "HEAD"])
async def show_file(path: str, request: Request) -> Response:
    """Show a file of the page."""
    if path not in _FILES:
        raise HTTPException(404)
    return _FILES[path].response(request.headers)


router.include_router(_browsers)
