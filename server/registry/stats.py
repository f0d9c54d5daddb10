"""Stats: what a registry holds now, and how far behind others it may be."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RegistryStats:
    """What a registry holds now.

    `tasks` answer, `versions` are all of theirs, `blob_bytes` are those of all files of deltas in
    the store. Changes of other servers that are older than `lag` seconds have been seen; those of
    `pending` tasks could not be taken over.
    """

    tasks: int
    versions: int
    blob_bytes: int
    lag: float
    pending: int
