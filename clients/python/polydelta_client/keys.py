"""Keys: who may ask a server, as its operators have it."""

from collections.abc import Sequence
from typing import Unpack

from . import _calls
from ._transport import AsyncTransport, Transport
from .access import KnownKey, MadeKey
from .inputs import CallOptions

_INFER = ("infer",)


class Keys:
    """The API keys of a server's registry, for clients with a key of the scope "admin".

    That is an operator's: of no tenant. Others get PermissionDeniedError.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def add(
        self,
        name: str,
        *,
        tenant: str = "",
        scopes: Sequence[str] = _INFER,
        days: float | None = None,
        **options: Unpack[CallOptions],
    ) -> MadeKey:
        """Make a key, of the shared tenant and good for ever unless `tenant` and `days` are given.

        Scopes are "infer", "read", "write" and "admin", which has all. Raises ConflictError where
        one of its name is in use; so it does if the connection broke once the key was made, and was
        tried again: nobody knows that key, so revoke it.
        """
        return self._transport.over(options).run(_calls.add_key(name, tenant, scopes, days))

    def revoke(self, name: str, **options: Unpack[CallOptions]) -> None:
        """Let a key be used no more; servers know within a second."""
        self._transport.over(options).run(_calls.revoke_key(name))

    # Last in its class: below it, `list` in an annotation would mean this method.
    def list(self, **options: Unpack[CallOptions]) -> list[KnownKey]:
        """Return all keys, without what opens anything, revoked ones until another has the name."""
        return self._transport.over(options).run(_calls.list_keys())


class AsyncKeys:
    """The methods of `client.keys`, awaited."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def add(
        self,
        name: str,
        *,
        tenant: str = "",
        scopes: Sequence[str] = _INFER,
        days: float | None = None,
        **options: Unpack[CallOptions],
    ) -> MadeKey:
        """Make a key; see `Keys.add`."""
        return await self._transport.over(options).run(_calls.add_key(name, tenant, scopes, days))

    async def revoke(self, name: str, **options: Unpack[CallOptions]) -> None:
        """Let a key be used no more; servers know within a second."""
        await self._transport.over(options).run(_calls.revoke_key(name))

    # Last in its class: below it, `list` in an annotation would mean this method.
    async def list(self, **options: Unpack[CallOptions]) -> list[KnownKey]:
        """Return all keys, without what opens anything, revoked ones until another has the name."""
        return await self._transport.over(options).run(_calls.list_keys())
