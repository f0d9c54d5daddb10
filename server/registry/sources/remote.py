"""The interface of sources that are not on this machine, one file each."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from server.registry.sources.digest import Digest


class Cut(Exception):
    """The source did not answer, or not to the end: it may be asked again. Its text says why."""


@dataclass(frozen=True)
class Opened:
    """A file that is being read: its whole size in bytes, and what is left of it in pieces.

    `tag` names the file's very content, if the source tells one. `pieces` raise Cut where they end
    too early.
    """

    size: int
    tag: str | None
    digest: Digest | None
    pieces: Iterator[bytes]


class Remote(Protocol):
    """A folder of files elsewhere."""

    def open(
        self, name: str, start: int = 0, tag: str | None = None
    ) -> AbstractContextManager[Opened | None]:
        """Begin to read a file, or go on at byte `start` with the one of that tag.

        None if it is not there or may not be read. Raises Cut where trying again may help,
        RequestError or SourceUnavailable where not, and where the file has changed since.
        """
        ...
