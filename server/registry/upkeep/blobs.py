"""Blobs as they lie in a store: which there are, which are whole, which nobody holds."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from server.registry.directory import DirectoryLock
from server.registry.layout import BLOBS, is_digest
from server.registry.staging import digest_of

_AT_ONCE = min(4, os.cpu_count() or 1)
"""Blobs that are read at once: hardly a disk is faster with more."""


def places_of(root: Path) -> dict[str, Path]:
    """The directory of each blob in a store, by its digest."""
    found = sorted((root / BLOBS).iterdir())
    return {path.name: path for path in found if is_digest(path.name)}


def spoiled_of(places: Mapping[str, Path], advance: Callable[[], None]) -> set[str]:
    """The digests of those blobs whose files are not those that they were put with.

    `advance` is called after each.
    """

    def is_whole(digest: str) -> bool:
        try:
            return digest_of(places[digest]) == digest
        except OSError:
            return False
        finally:
            advance()

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        whole = pool.map(is_whole, places)
        return {digest for digest, sound in zip(places, whole, strict=True) if not sound}


def is_free(place: Path) -> bool:
    """Whether a blob is there, and no server is about to have it named by the catalogue."""
    try:
        DirectoryLock(place, alone=True).close()
    except OSError:
        return False
    return True
