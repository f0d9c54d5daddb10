"""Peers: other servers of the same registry, asked for the files that they have.

A server that is reached by others tells its address in the registry's database, again and again
while it lives. All of them know one secret, from their environment, which is asked for by
`GET /v1/blobs/{digest}/{file}`.
"""

import hmac
import os
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event

from deltas.errors import PolydeltaError
from server.errors import InvalidSettings
from server.registry.catalogue.servers import Servers
from server.registry.follower import Follower
from server.registry.sources.http import Http
from server.registry.sources.remote import Remote
from server.registry.sources.transfer import Transfer
from server.registry.sources.web import Web

VARIABLE = "POLYDELTA_PEER_SECRET"

_EVERY = 10.0
"""Seconds between signs of life."""


def is_peer(told: str) -> bool:
    """Whether somebody knows the secret; nobody does where there is none."""
    secret = os.environ.get(VARIABLE)
    return bool(secret) and hmac.compare_digest(told.encode(), str(secret).encode())


@dataclass(frozen=True)
class Peer:
    """Another server as a Place."""

    name: str
    secret: str = field(repr=False)

    @contextmanager
    def blob(self, digest: str, transfer: Transfer) -> Generator[Remote]:
        """The files of a blob, as the server has them in its store."""
        with closing(Http(transfer, private=True)) as http:
            yield Web(f"{self.name}/v1/blobs/{digest}/", http, self.secret)


class Peers:
    """The servers of a registry, this one at `address` among them if it has one.

    Raises InvalidSettings for an address without a secret.
    """

    def __init__(self, servers: Servers, address: str | None) -> None:
        self._servers = servers
        self._address = address.rstrip("/") if address else None
        self._secret = os.environ.get(VARIABLE)
        if self._address and not self._secret:
            raise InvalidSettings(
                f"Servers that fetch from one another (--advertise) share a secret: set {VARIABLE} "
                "to the same text for all of them."
            )
        self._follower: Follower | None = None

    def places(self) -> list[Peer]:
        """The others that lived lately; none without a secret."""
        if not self._secret:
            return []
        others = self._servers.alive() - {self._address}
        return [Peer(address, self._secret) for address in sorted(others)]

    def start(self) -> None:
        """Tell from now on where this server is."""
        if self._address is not None:
            self._beat()
            self._follower = Follower(self._beat, _pause)

    def close(self) -> None:
        """Tell that it is there no more."""
        if self._follower is not None and self._address is not None:
            self._follower.close()
            with suppress(PolydeltaError):
                self._servers.leave(self._address)

    def _beat(self) -> None:
        if self._address is not None:
            self._servers.live(self._address)


def _pause(closed: Event) -> None:
    closed.wait(_EVERY)
