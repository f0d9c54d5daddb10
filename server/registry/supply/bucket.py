"""The bucket: an object store that every server of a registry puts deltas into and fetches from.

    PREFIX/<sha256>/<file>

Nothing is removed from it by servers: another may be putting the very same delta. An operator has
that done (`upkeep/bucket_garbage.py`).
"""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import obstore
from obstore.exceptions import BaseError

from server.errors import RegistryUnavailable
from server.registry.sources.address import Address
from server.registry.sources.objects import Objects, open_store
from server.registry.sources.remote import Remote
from server.registry.sources.transfer import Transfer
from server.registry.store import is_digest

_PUT_SECONDS = 120.0
_BRIEF_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Held:
    """What a bucket has of a blob: bytes, and when the last was written, in Unix seconds."""

    bytes: int
    written: float


class Bucket:
    """A prefix of an object store as a Place; the operator names it, so it may be private."""

    def __init__(self, address: Address, seconds: float = _PUT_SECONDS) -> None:
        self.name = str(address)
        self._address = address
        self._store = open_store(address, seconds, private=True)

    def brief(self) -> "Bucket":
        """The same, each of whose requests takes two seconds or fails: for who holds a lock."""
        return Bucket(self._address, _BRIEF_SECONDS)

    @contextmanager
    def blob(self, digest: str, transfer: Transfer) -> Generator[Remote]:
        """The objects of a blob."""
        place = Address(self._address.scheme, self._address.host, (*self._address.path, digest))
        yield Objects(place, transfer, private=True)

    def put(self, digest: str, directory: Path) -> None:
        """Put a blob's files; raises RegistryUnavailable where that fails."""
        try:
            for path in sorted(directory.iterdir()):
                obstore.put(self._store, _place(digest, path), path)
        except (BaseError, OSError):
            # Their texts may hold what is in the environment.
            raise RegistryUnavailable(
                f"The delta could not be put into {self.name}, where all servers are to find it, "
                "so nothing has changed. Try again; if that stays so, have the operator look at "
                "--blobs and at the credentials in the server's environment."
            ) from None

    def confirm(self, digest: str, directory: Path) -> None:
        """Put what is missing of a blob that was put before; raises as `put` does."""
        try:
            for path in sorted(directory.iterdir()):
                obstore.head(self._store, _place(digest, path))
        except (BaseError, OSError):
            self.put(digest, directory)

    def blobs(self, digest: str = "") -> dict[str, Held]:
        """All blobs by their digests, or one; what else lies there is passed over.

        Raises RegistryUnavailable where they cannot be listed.
        """
        found: dict[str, Held] = {}
        try:
            for each in chain.from_iterable(obstore.list(self._store, digest or None)):
                blob, _, name = each["path"].partition("/")
                if is_digest(blob) and name and "/" not in name:
                    held = found.get(blob, Held(0, 0.0))
                    written = max(held.written, each["last_modified"].timestamp())
                    found[blob] = Held(held.bytes + each["size"], written)
        except (BaseError, OSError):
            raise self._unusable("listed") from None
        return found

    def remove(self, digest: str) -> None:
        """Remove a blob's files; raises RegistryUnavailable where that fails."""
        try:
            files = chain.from_iterable(obstore.list(self._store, digest))
            obstore.delete(self._store, [each["path"] for each in files])
        except (BaseError, OSError):
            raise self._unusable("removed from") from None

    def _unusable(self, done: str) -> RegistryUnavailable:
        # The library's texts may hold what is in the environment.
        return RegistryUnavailable(
            f"{self.name} cannot be {done}. Look at --blobs and at the credentials in the "
            "environment, which must allow that."
        )


def _place(digest: str, path: Path) -> str:
    return f"{digest}/{path.name}"
