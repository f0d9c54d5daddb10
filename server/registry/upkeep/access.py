"""Access: keys and tenants' limits of an archive, taken into a registry."""

from collections.abc import Iterable
from dataclasses import dataclass

from server.errors import Conflict
from server.registry.catalogue.database import Database
from server.registry.catalogue.keys import Keys
from server.registry.catalogue.tenants import Tenants
from server.registry.keys import Key
from server.registry.tenant import Tenant


@dataclass(frozen=True, slots=True)
class Access:
    """What became of a `key` or a `tenant`: `imported`, `replaced`, `unchanged` or `refused`."""

    about: str
    name: str
    result: str
    reason: str = ""


def take_keys(database: Database, keys: Iterable[Key], *, replace: bool) -> list[Access]:
    """Have a registry know keys; one that is there and differs only if it is to be replaced."""

    def take(key: Key) -> Access:
        try:
            before = Keys(database).put(key, replace=replace)
        except Conflict as error:
            return Access("key", key.name, "refused", str(error))
        return Access("key", key.name, _result(before, key))

    return [take(key) for key in keys]


def take_tenants(database: Database, tenants: Iterable[Tenant], *, replace: bool) -> list[Access]:
    """Have a registry hold tenants to limits; others stay unless they are to be replaced."""
    known = {tenant.name: tenant for tenant in Tenants(database).all()}

    def take(tenant: Tenant) -> Access:
        before = known.get(tenant.name)
        if before not in (None, tenant) and not replace:
            reason = "It has other limits; --replace puts these in their place."
            return Access("tenant", tenant.name, "refused", reason)
        if before != tenant:
            Tenants(database).change(tenant.name, lambda _: tenant)
        return Access("tenant", tenant.name, _result(before, tenant))

    return [take(tenant) for tenant in tenants]


def _result(before: object, after: object) -> str:
    if before is None:
        return "imported"
    return "unchanged" if before == after else "replaced"
