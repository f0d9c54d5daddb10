"""Addresses: where a delta is, as its source names it, in one plain form."""

import re
from dataclasses import dataclass
from typing import Self

from server.errors import InvalidRequest

FORMS = (
    "hf://OWNER/NAME[@REVISION][/FOLDER], s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, "
    "az://CONTAINER/PREFIX, https://HOST/DIRECTORY/"
)
"""How sources other than directories are written."""

MAX_LENGTH = 1024

_WEB = ("https", "http")
SCHEMES = frozenset({"hf", "s3", "gs", "az", *_WEB})

_HOST = re.compile(r"(?:\[[0-9a-f:.]+\]|[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)(?::\d{1,5})?")
_OWNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_STEP = re.compile(r"[A-Za-z0-9._~@+=,-]{1,255}")


@dataclass(frozen=True)
class Address:
    """A source's scheme, its host (or owner, bucket, container) and the steps of its path.

    No step is `.` or `..`, nothing is escaped, and there are neither credentials nor a query, so
    that an address may be logged and compared as it is written.
    """

    scheme: str
    host: str
    path: tuple[str, ...]

    @classmethod
    def read(cls, source: str) -> Self:
        """Read a source's text; raises InvalidRequest telling how it is written."""
        scheme, mark, rest = source.partition("://")
        scheme = scheme.lower()
        if not mark or scheme not in SCHEMES:
            raise InvalidRequest(
                f"'{scheme[:16]}' sources are not fetched; give {FORMS}, or file:// and a "
                "directory on the server.",
                param="source",
            )
        host, *path = rest.removesuffix("/").split("/")
        if scheme in _WEB:
            host = host.lower()
            # A directory may be named by the file in it that holds its weights.
            if path and path[-1].endswith(".safetensors"):
                path.pop()
            elif not rest.endswith("/"):
                raise _unlike("The address of a directory ends in '/'")
        if not (_HOST if scheme in _WEB else _OWNER).fullmatch(host):
            raise _unlike("Its first part is no name")
        if len(source) > MAX_LENGTH or any(map(_is_odd, path)):
            raise _unlike(
                "Of its path, each step is letters, digits and ._~@+=,- alone, without a query, "
                "credentials or '..'"
            )
        return cls(scheme, host, tuple(path))

    def __str__(self) -> str:
        end = "/" if self.scheme in _WEB else ""
        return f"{self.scheme}://{'/'.join((self.host, *self.path))}{end}"


def _is_odd(step: str) -> bool:
    return step in (".", "..") or not _STEP.fullmatch(step)


def _unlike(reason: str) -> InvalidRequest:
    return InvalidRequest(f"The source cannot be read. {reason}: {FORMS}.", param="source")
