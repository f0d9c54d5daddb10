"""Access: who may ask the servers of a registry, and how much, as the database last told."""

import logging
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

from deltas.errors import PolydeltaError
from server.errors import RequestError
from server.registry.catalogue.audit import Audit
from server.registry.catalogue.database import Database
from server.registry.catalogue.keys import Keys
from server.registry.catalogue.named import Known
from server.registry.catalogue.tenants import Tenants
from server.registry.keys import Key, KeyRing
from server.registry.names import SHARED, TaskName
from server.registry.requirement import Requirement
from server.registry.tenant import Tenant, check_tenant

_log = logging.getLogger(__name__)


class Access:
    """Keys and limits, in memory: asked of on the event loop, read and changed on any thread.

    Nobody is served without a key until they are first read, nor ever if keys are to be required.
    Changes hold here once they are made, and raise what Keys and Tenants raise; `by` is who makes
    them, or is refused them, in the audit log.
    """

    def __init__(self, database: Database, store: Path, *, require_keys: bool = False) -> None:
        self._keys = Keys(database)
        self._tenants = Tenants(database)
        self._audit = Audit(database)
        self._requirement = Requirement(store, always=require_keys)
        self._reading = Lock()
        self._limits: Mapping[str, Tenant] = {}
        self.keys = KeyRing(required=True)
        """The keys that requests need, if there are any."""

    def tenant(self, name: str) -> Tenant:
        """What a tenant may use."""
        return self._limits.get(name) or Tenant(name)

    def weight(self, name: str) -> int:
        """A tenant's weight among those that wait."""
        limited = self._limits.get(name)
        return 1 if limited is None else limited.weight

    def tenants(self) -> list[Tenant]:
        """Every tenant for whom something was set, by name."""
        return self._tenants.all()

    def known(self) -> Known[Key]:
        """Every key, those that open nothing any more until another takes the name."""
        return self._keys.all()

    def add(self, key: Key, by: str) -> None:
        """Keep a key."""
        with self._changing("add_key", key.tenant, by, about=key.name):
            self._keys.add(key, by)

    def revoke(self, name: str, by: str) -> None:
        """Let a key be used no more."""
        with self._changing("revoke_key", SHARED, by, about=name):
            self._keys.revoke(name, by)

    def limit(self, name: str, limits: Mapping[str, float], by: str) -> Tenant:
        """Set some of a tenant's limits, by their names; raises InvalidRequest for a bad name."""
        with self._changing("set_limits", name, by):
            check_tenant(name)
            return self._tenants.change(name, lambda tenant: tenant.limited(limits), by)

    def read(self) -> None:
        """Take over what the database has; raises what Database raises."""
        # One after the other, so that nothing older takes the place of what is newer.
        with self._reading:
            ring = self._keys.ring()
            ring.required = self._requirement.holds(ring)
            self.keys = ring
            self._limits = {tenant.name: tenant for tenant in self._tenants.all()}

    @contextmanager
    def _changing(self, kind: str, tenant: str, by: str, about: str = "") -> Generator[None]:
        try:
            yield
        except RequestError as error:
            # What is to be told is why it was refused, and not that this cannot be noted.
            with suppress(PolydeltaError):
                self._audit.refused(TaskName(tenant, ""), kind, by, error.code, about)
            raise
        try:
            self.read()
        except PolydeltaError as error:
            # The change is made, and whoever made it is to hear so; the next look takes it over.
            _log.error("A change of keys or limits is made, and not taken over yet: %s", error)
