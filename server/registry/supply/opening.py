"""Opening the supply that the settings name."""

from server.registry.catalogue.database import Database
from server.registry.catalogue.servers import Servers
from server.registry.sources.address import Address
from server.registry.sources.transfer import Bounds
from server.registry.store import Store
from server.registry.supply.peers import Peers
from server.registry.supply.supply import Supply

_SECONDS = 120.0
_TRIES = 2
"""There may be another place."""


def open_supply(
    store: Store, database: Database, address: str | None, bucket: str | None
) -> Supply:
    """A supply from other servers of the database and perhaps from a bucket.

    `address` is where others reach this server. Raises InvalidSettings, InvalidRequest for a bucket
    that is none, SourceUnavailable where the environment does not say how it is reached.
    """
    bounds = Bounds(store.max_bytes, _SECONDS, tries=_TRIES)
    peers = Peers(Servers(database), address)
    if bucket is None:
        return Supply(store, peers, None, bounds)
    from server.registry.supply.bucket import Bucket

    return Supply(store, peers, Bucket(Address.read(bucket)), bounds)
