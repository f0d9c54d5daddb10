"""Sources: where a delta's files may come from."""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from server.errors import InvalidRequest


def fetch_source(source: str, roots: Sequence[Path] = (Path("/"),)) -> Path:
    """Return the directory that a `file://` URI or a plain path names.

    `roots` are the directories it must lie in. Raises InvalidRequest for another scheme, a place
    outside the roots or no directory.
    """
    try:
        path = _path(source).expanduser().resolve()
        found = path.is_dir()
    except (OSError, RuntimeError, ValueError):
        # Names that are too long, that hold NUL or that belong to users who are not there.
        raise InvalidRequest("The source is not a path.", param="source") from None
    if not any(path.is_relative_to(root.resolve()) for root in roots):
        raise InvalidRequest(
            "The source is outside the directories that this server reads deltas from; upload "
            "the files, or have the operator allow their directory in source_roots.",
            param="source",
        )
    if not found:
        raise InvalidRequest("The source is not a directory on the server.", param="source")
    return path


def _path(source: str) -> Path:
    if not source:
        raise InvalidRequest("The source is not a path.", param="source")
    if "://" not in source:
        return Path(source)
    parts = urlsplit(source)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        raise InvalidRequest(
            f"'{parts.scheme[:16]}' sources are not fetched; give file:// and a directory on the "
            "server, or upload the files.",
            param="source",
        )
    return Path(unquote(parts.path))
