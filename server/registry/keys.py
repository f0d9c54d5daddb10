"""Keys: who may ask what of the servers of a registry, on behalf of which tenant."""

import hashlib
import hmac
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from server.errors import InvalidRequest
from server.registry.audit import NO_KEYS
from server.registry.names import SHARED, is_plain

_PREFIX = "pd_"
_BYTES = 32

_DAY = 86_400.0

MAX_TENANT = 64
"""Characters of a tenant's name."""

MAX_DAYS = 36_500
"""For how long a key may be good, if not for ever."""


class Scope(StrEnum):
    """What a key is good for; ADMIN includes the others."""

    INFER = "infer"
    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Key:
    """What is kept of a key: a digest instead of the key itself.

    Times are in seconds since the epoch; a key without `expires` lasts until it is `revoked`.
    """

    name: str
    tenant: str
    scopes: frozenset[Scope]
    digest: str
    created: float
    expires: float | None = None
    revoked: float | None = None

    def is_good(self, now: float) -> bool:
        """Whether the key may still be used."""
        return self.revoked is None and (self.expires is None or now < self.expires)

    def allows(self, scope: Scope) -> bool:
        """Whether it is good for something."""
        return not self.scopes.isdisjoint((scope, Scope.ADMIN))


def new_key(
    name: str, tenant: str, scopes: Iterable[Scope], days: float | None = None
) -> tuple[Key, str]:
    """Make a key, and what its holder is to send, which is kept nowhere.

    It is good for so many days, or for ever. Raises InvalidRequest for names that are none, and
    for days that are not above 0 or more than MAX_DAYS.
    """
    if not is_plain(name) or not (tenant == SHARED or is_plain(tenant[: MAX_TENANT + 1])):
        raise InvalidRequest(
            "Names of keys and tenants are of the characters A-Z a-z 0-9 . _ - and begin with a "
            "letter or a digit."
        )
    if name in NO_KEYS:
        raise InvalidRequest(f"The audit log calls somebody else '{name}'; choose another name.")
    if len(tenant) > MAX_TENANT:
        raise InvalidRequest(f"A tenant's name has at most {MAX_TENANT} characters.")
    # Not a number is neither.
    if days is not None and not 0 < days <= MAX_DAYS:
        raise InvalidRequest(f"A key is good for more than 0 days and at most {MAX_DAYS}.", "days")
    now, text = time.time(), _PREFIX + secrets.token_urlsafe(_BYTES)
    expires = None if days is None else now + days * _DAY
    return Key(name, tenant, frozenset(scopes), digest_of(text), now, expires), text


def digest_of(text: str) -> str:
    """What is kept of a key: with 256 random bits in it, one round of SHA-256 is enough."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


class KeyRing:
    """All keys, in memory; read on the event loop, replaced whole from any thread."""

    def __init__(self, keys: Iterable[Key] = (), *, required: bool = False) -> None:
        self._keys = {key.digest: key for key in keys}
        self.required = required or bool(self._keys)
        """Whether requests need a key: once there was one, whatever became of it."""

    def find(self, text: str) -> Key | None:
        """The key that somebody sent, if it may be used."""
        digest = digest_of(text)
        key = self._keys.get(digest)
        # Only a digest is looked up by, which tells nothing of any key by how long that takes.
        if key is None or not hmac.compare_digest(key.digest, digest):
            return None
        return key if key.is_good(time.time()) else None
