"""Garbage in a bucket: blobs that no version of a registry has, removed beside its servers.

A server puts a blob there, then names it in the registry, and then looks whether it is still there.
So what is young is left alone, and what is old is looked at once more and removed while no server
changes the registry: one that names it later finds it gone and puts it again.
"""

import time
from dataclasses import dataclass

from server.errors import InvalidSettings
from server.registry.catalogue.catalogue import Catalogue
from server.registry.catalogue.database import Database
from server.registry.supply.bucket import Bucket


@dataclass(frozen=True, slots=True)
class Removed:
    """What was removed from a bucket, and how many blobs it had before."""

    blobs: int
    bytes: int
    of: int


def collect_bucket(
    bucket: Bucket, database: Database, hours: float, *, pretend: bool = False
) -> Removed:
    """Remove blobs that no version has and that nobody has written for so long.

    To pretend is to tell of it alone. Raises InvalidSettings where the registry has none of the
    bucket's blobs, as another bucket's would, RegistryUnavailable where either cannot be used.
    """
    catalogue = Catalogue(database, "")
    kept = bucket.blobs()
    needed = catalogue.needed(kept.keys())
    if kept and not needed:
        raise InvalidSettings(
            f"The registry has none of the {len(kept)} blobs in {bucket.name}, so it seems to be "
            "another bucket's: look at --registry and --blobs. Nothing was removed."
        )
    before = time.time() - 3600 * hours
    # What takes longer than the database lets its lock be held would go on without it.
    brief = bucket.brief()
    removed = {
        digest: held.bytes
        for digest, held in kept.items()
        if digest not in needed
        and held.written < before
        and (pretend or _remove(brief, catalogue, digest, before))
    }
    return Removed(len(removed), sum(removed.values()), len(kept))


def _remove(bucket: Bucket, catalogue: Catalogue, digest: str, before: float) -> bool:
    with catalogue.still() as confirm:
        if catalogue.needed({digest}):
            return False
        held = bucket.blobs(digest).get(digest)
        if held is None or held.written >= before:
            return False
        # The lock may be lost meanwhile, and the blob be some version's.
        confirm()
        bucket.remove(digest)
    return True
