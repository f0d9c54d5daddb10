"""The bucket: an object store that every server of a registry puts deltas into and fetches from.

    PREFIX/<sha256>/<file>

Nothing is removed from it by servers: another may be putting the very same delta.
"""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import obstore
from obstore.exceptions import BaseError

from server.errors import RegistryUnavailable
from server.registry.sources.address import Address
from server.registry.sources.objects import Objects, open_store
from server.registry.sources.remote import Remote
from server.registry.sources.transfer import Transfer

_PUT_SECONDS = 120.0


class Bucket:
    """A prefix of an object store as a Place; the operator names it, so it may be private."""

    def __init__(self, address: Address) -> None:
        self.name = str(address)
        self._address = address
        self._store = open_store(address, _PUT_SECONDS, private=True)

    @contextmanager
    def blob(self, digest: str, transfer: Transfer) -> Generator[Remote]:
        """The objects of a blob."""
        place = Address(self._address.scheme, self._address.host, (*self._address.path, digest))
        yield Objects(place, transfer, private=True)

    def put(self, digest: str, directory: Path) -> None:
        """Put a blob's files; raises RegistryUnavailable where that fails."""
        try:
            for path in sorted(directory.iterdir()):
                obstore.put(self._store, f"{digest}/{path.name}", path)
        except (BaseError, OSError):
            # Their texts may hold what is in the environment.
            raise RegistryUnavailable(
                f"The delta could not be put into {self.name}, where all servers are to find it, "
                "so nothing has changed. Try again; if that stays so, have the operator look at "
                "--blobs and at the credentials in the server's environment."
            ) from None
