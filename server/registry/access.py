"""Access: who may ask the servers of a registry, and how much, as the database last told."""

from collections.abc import Mapping
from pathlib import Path

from server.registry.catalogue.database import Database
from server.registry.catalogue.keys import Keys
from server.registry.catalogue.tenants import Tenants
from server.registry.keys import KeyRing
from server.registry.requirement import Requirement
from server.registry.tenant import Tenant


class Access:
    """Keys and limits, in memory: asked of on the event loop, read anew on any thread.

    Nobody is served without a key until they are first read, nor ever if keys are to be required.
    """

    def __init__(self, database: Database, store: Path, *, require_keys: bool = False) -> None:
        self._keys = Keys(database)
        self._tenants = Tenants(database)
        self._requirement = Requirement(store, always=require_keys)
        self._limits: Mapping[str, Tenant] = {}
        self.keys = KeyRing(required=True)
        """The keys that requests need, if there are any."""

    def tenant(self, name: str) -> Tenant:
        """What a tenant may use."""
        return self._limits.get(name) or Tenant(name)

    def weight(self, name: str) -> int:
        """A tenant's weight among those that wait."""
        return self.tenant(name).weight

    def read(self) -> None:
        """Take over what the database has; raises what Database raises."""
        ring = self._keys.ring()
        ring.required = self._requirement.holds(ring)
        self.keys = ring
        self._limits = {tenant.name: tenant for tenant in self._tenants.all()}
