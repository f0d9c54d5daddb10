"""Sums: the file that a folder is finished with, which names its other files and their SHA-256.

It is what `sha256sum FILE… > SHA256SUMS` writes: on each line a digest in hex, a space, a space or
an asterisk, and a file's name. As it is written last, a folder is whole once all agrees.
"""

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from deltas.checkpoint import Checkpoint
from deltas.errors import InvalidDelta
from deltas.folder import Folder
from server.registry.staging import sha256_of

SUMS = "SHA256SUMS"

_MAX_BYTES = 1 << 16
_LINE = re.compile(r"([0-9a-f]{64}) [ *](?:\./)?([^/\\]+)")


class Unfinished(Exception):
    """A folder is not whole yet; its text says what is missing."""


class Sums:
    """What a folder's file of sums says; raises Unfinished without one, or with half of one."""

    def __init__(self, folder: Folder) -> None:
        if SUMS not in folder.names:
            raise Unfinished(f"it has no {SUMS}, which is written last: sha256sum * > {SUMS}")
        try:
            self._sums = _read(Checkpoint(folder).text(SUMS, _MAX_BYTES))
        except InvalidDelta as error:
            raise Unfinished(str(error)) from None
        for name in sorted(self._sums.keys() - folder.names):
            raise Unfinished(f"{name} is not there, which {SUMS} names")

    def check_names(self, names: Collection[str]) -> None:
        """Raise Unfinished unless all of some files are named."""
        for name in sorted(set(names) - self._sums.keys()):
            raise Unfinished(f"{SUMS} does not name {name}")

    def check(self, directory: Path) -> None:
        """Raise Unfinished unless the files of a directory, all of which are named, are as told."""
        for path in sorted(directory.iterdir()):
            if sha256_of(path) != self._sums[path.name]:
                raise Unfinished(f"{path.name} is not what {SUMS} says")


def _read(text: str) -> Mapping[str, str]:
    if not text.endswith("\n"):
        raise Unfinished(f"{SUMS} ends within a line")
    sums: dict[str, str] = {}
    for line in text.splitlines():
        found = _LINE.fullmatch(line)
        # What lies deeper is no file of a delta, and the file itself may be named by a second run.
        if found and found[2] != SUMS:
            sums[found[2]] = found[1]
    return sums
