"""Tenants: what each may use of a server, as its operators have it."""

from typing import Unpack

from . import _calls
from ._transport import AsyncTransport, Transport
from .access import Limits, Tenant
from .inputs import CallOptions


class Tenants:
    """The tenants of a server's registry, for clients with a key of the scope "admin".

    That is an operator's: of no tenant. Others get PermissionDeniedError.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def limit(self, name: str, limits: Limits, **options: Unpack[CallOptions]) -> Tenant:
        """Set limits: `limit("acme", {"tasks": 50, "weight": 3})`; return all that it has then."""
        return self._transport.over(options).run(_calls.limit_tenant(name, limits))

    # Last in its class: below it, `list` in an annotation would mean this method.
    def list(self, **options: Unpack[CallOptions]) -> list[Tenant]:
        """Return the tenants for whom something was set."""
        return self._transport.over(options).run(_calls.list_tenants())


class AsyncTenants:
    """The methods of `client.tenants`, awaited."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def limit(self, name: str, limits: Limits, **options: Unpack[CallOptions]) -> Tenant:
        """Set limits; see `Tenants.limit`."""
        return await self._transport.over(options).run(_calls.limit_tenant(name, limits))

    # Last in its class: below it, `list` in an annotation would mean this method.
    async def list(self, **options: Unpack[CallOptions]) -> list[Tenant]:
        """Return the tenants for whom something was set."""
        return await self._transport.over(options).run(_calls.list_tenants())
