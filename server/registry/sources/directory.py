"""Directories on this machine: the operator's own, and those that requests may name."""

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from deltas.checkpoint import Checkpoint
from deltas.errors import InvalidDelta, UnsafeDelta
from deltas.folder import Folder
from deltas.formats import dialect_of
from server.errors import InvalidRequest

_NOT_READ = (
    "The server reads no delta there: it reads those alone that are within the directories which "
    "its operator names (--source-roots). Upload the files instead: polydelta task add NAME "
    "DIRECTORY, or PUT /v1/tasks/NAME with the files as multipart/form-data."
)


def own_source(source: str) -> Folder:
    """Open the directory that the operator names by a `file://` URI or a plain path.

    Raises InvalidRequest for another scheme or no directory.
    """
    try:
        return Folder(path_of(source).expanduser())
    except (InvalidDelta, RuntimeError) as error:
        raise InvalidRequest(f"{source} is no directory that can be read.", "source") from error


def asked_source(source: str, roots: Sequence[Path]) -> Folder:
    """Open the directory that a request names; it must lie in one of the roots.

    Raises InvalidRequest, UnsafeDelta for a delta that is a pickle or an archive. Outside the roots
    nothing is looked at, and there is one answer for what is not there, not allowed or no delta.
    """
    place = path_of(source)
    for root in roots:
        # By its name alone, before the file system is asked.
        if any(_lies_in(place, top) for top in (root, root.resolve())):
            try:
                folder = Folder(place, root)
                dialect_of(Checkpoint(folder))
            except UnsafeDelta:
                raise
            except InvalidDelta:
                continue
            return folder
    raise InvalidRequest(_NOT_READ, param="source")


def _lies_in(place: Path, root: Path) -> bool:
    return Path(os.path.abspath(place)).is_relative_to(os.path.abspath(root))  # noqa: PTH100


def path_of(source: str) -> Path:
    """The path that a source says; raises InvalidRequest unless it is a plain one or file://."""
    if not source:
        raise InvalidRequest("The source is empty.", param="source")
    try:
        parts = urlsplit(source) if "://" in source else None
    except ValueError:
        raise InvalidRequest("The source is no URI.", param="source") from None
    if parts is None:
        return Path(source)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        raise InvalidRequest(
            f"'{parts.scheme[:16]}' sources are not fetched; give file:// and a directory on the "
            "server, or upload the files.",
            param="source",
        )
    return Path(unquote(parts.path))
