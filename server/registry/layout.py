"""The layout of a store: the names of what lies in it."""

import re
from contextlib import suppress
from pathlib import Path

BLOBS = "blobs"
"""The directory of all blobs, each a directory named by its digest."""

BLOBS_ASIDE = "blobs-"
"""How directories of blobs begin that were set aside, since no database names them."""

CLAIM = "registry-id"
"""The file that tells which registry the blobs are of."""

DATABASE = "registry.sqlite3"
"""The catalogue's file, unless servers share one elsewhere."""

DAMAGED = "damaged-"
"""How database files begin that were set aside, since they were damaged."""

KEYED = "has-keys"
"""The file that tells that requests need API keys, should the database with them be lost."""

RUN = "run-"
"""How directories begin that are of one server alone."""

_DIGEST = re.compile(r"[0-9a-f]{64}")


def is_digest(name: str) -> bool:
    """Whether a directory's name is a blob's."""
    return _DIGEST.fullmatch(name) is not None


def digests_in(root: Path) -> set[str]:
    """The digests of all blobs of a store."""
    with suppress(FileNotFoundError):
        return {path.name for path in (root / BLOBS).iterdir() if is_digest(path.name)}
    return set()
