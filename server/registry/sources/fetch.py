"""Fetching: the files of a delta, one after another, from elsewhere into the store."""

from collections.abc import Iterator
from typing import BinaryIO

from deltas.errors import InvalidDelta
from deltas.formats import DIALECTS
from server.errors import InvalidRequest, SourceUnavailable
from server.registry.sources.remote import Cut, Opened, Remote
from server.registry.sources.transfer import Transfer
from server.registry.staging import Staging

_PAUSE = 0.2
"""Seconds before a file is tried again; each later pause is twice as long."""


def fetch(remote: Remote, staging: Staging, transfer: Transfer) -> None:
    """Take in the files of a delta, asked for by the names that a dialect knows.

    Nothing is listed, so that it makes no difference what else is there. Raises DeltaError,
    RequestError or SourceUnavailable.
    """
    for dialect in DIALECTS:
        markers = [
            name for name in sorted(dialect.markers) if _take(remote, name, staging, transfer)
        ]
        if markers:
            for name in sorted((dialect.files | dialect.judged) - dialect.markers):
                _take(remote, name, staging, transfer)
            return transfer.end()
    names = " or ".join(sorted(name for dialect in DIALECTS for name in dialect.markers))
    raise InvalidRequest(
        f"No delta was found: {transfer.what} has no {names}, or this server may not read them. "
        "Look at the address, and at the credentials in the server's environment.",
        param="source",
    )


def _take(remote: Remote, name: str, staging: Staging, transfer: Transfer) -> bool:
    """Take one file in, going on after each cut; False if it is not there."""
    arriving = None
    failures = 0
    try:
        while True:
            before = transfer.received
            try:
                start, tag = (arriving.size, arriving.tag) if arriving else (0, None)
                with remote.open(name, start, tag) as opened:
                    if opened is None:
                        return False
                    arriving = arriving or _Arriving(name, opened, staging, transfer)
                    arriving.take(opened.pieces)
                return True
            except Cut as cut:
                failures = 1 if transfer.received > before else failures + 1
                if failures == transfer.tries or (arriving and not arriving.resumable):
                    raise SourceUnavailable(
                        f"{name} could not be fetched from {transfer.what}: {cut}. Try again, or "
                        "upload the files."
                    ) from None
            transfer.sleep(_PAUSE * 2 ** (failures - 1))
    finally:
        if arriving:
            arriving.close()


class _Arriving:
    """A file of which some is here."""

    def __init__(self, name: str, opened: Opened, staging: Staging, transfer: Transfer) -> None:
        transfer.expect(opened.size)
        self.size = 0
        self.tag = opened.tag
        self.resumable = opened.tag is not None or opened.digest is not None
        self._name = name
        self._whole = opened.size
        self._digest = opened.digest
        self._hash = opened.digest.begin() if opened.digest else None
        self._staging = staging
        self._transfer = transfer
        self._file: BinaryIO = staging.begin(name)

    def take(self, pieces: Iterator[bytes]) -> None:
        """Write what comes, and end the file; raises InvalidDelta if it is not what was told."""
        for piece in pieces:
            self.size += len(piece)
            if self.size > self._whole:
                raise InvalidDelta(f"{self._name} goes on after the {self._whole} bytes told.")
            self._staging.write(self._file, piece)
            if self._hash:
                self._hash.update(piece)
            self._transfer.advance(len(piece))
        if self.size < self._whole:
            raise Cut(f"it ended after {self.size} of {self._whole} bytes")
        if self._digest and self._hash and self._hash.hexdigest() != self._digest.value:
            raise InvalidDelta(
                f"{self._name} is not what its source says: its {self._digest.algorithm} is "
                f"{self._hash.hexdigest()} instead of {self._digest.value}. Try again; if that "
                "stays so, the source is damaged."
            )
        self._staging.end(self._file)

    def close(self) -> None:
        """Let go of the file, whole or not."""
        self._file.close()
