"""Rates: how much of its requests and tokens a minute each tenant has used on this server."""

import time
from dataclasses import dataclass, field
from math import ceil, floor

from server.engine.observer import Silent
from server.engine.timeline import Timeline
from server.errors import RateLimited
from server.registry.access import Access
from server.registry.tenant import Tenant

_MINUTE = 60.0

RATE_HEADERS = tuple(
    f"x-ratelimit-{which}-{what}"
    for what in ("requests", "tokens")
    for which in ("limit", "remaining", "reset")
)
"""The headers in which OpenAI's servers tell what is left."""


@dataclass(slots=True)
class Bucket:
    """A token bucket: it holds what may be taken in a minute, and fills again evenly.

    More than there is can be taken, too: nothing is left then until that has come back. The limit
    is told each time, as it may change. Times are in seconds.
    """

    _taken: float = 0.0
    _at: float = 0.0

    def take(self, amount: int, limit: int) -> None:
        """Take so much."""
        self._taken, self._at = self._missing(limit) + amount, time.monotonic()

    def left(self, limit: int) -> int:
        """What may be taken now."""
        return max(0, floor(limit - self._missing(limit)))

    def wait(self, limit: int) -> float:
        """The time until one may be taken."""
        return max(0.0, (self._missing(limit) + 1 - limit) * _MINUTE / limit)

    def refill(self, limit: int) -> float:
        """The time until it is full."""
        return self._missing(limit) * _MINUTE / limit

    def _missing(self, limit: int) -> float:
        back = (time.monotonic() - self._at) * limit / _MINUTE
        return max(0.0, self._taken - back)


@dataclass(slots=True)
class _Used:
    requests: Bucket = field(default_factory=Bucket)
    tokens: Bucket = field(default_factory=Bucket)


class Rates(Silent):
    """Holds tenants to their requests and tokens a minute; used on the event loop alone.

    Tokens are known, and taken, when an answer ends.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._used: dict[str, _Used] = {}

    def tenant(self, name: str) -> Tenant | None:
        """A tenant, if a limit on its requests or tokens was set."""
        tenant = self._access.tenant(name)
        limited = tenant.requests_per_minute or tenant.tokens_per_minute
        return tenant if limited else None

    def take(self, tenant: Tenant) -> None:
        """Count a request; raises RateLimited, with when to come again, if it is too much."""
        waits: list[tuple[float, str]] = []
        for what, limit, bucket in self._limits(tenant):
            waits.append((bucket.wait(limit), f"{limit} {what} a minute"))
        wait, limited = max(waits)
        if wait > 0:
            raise RateLimited(
                f"Tenant '{tenant.name}' may have {limited} of this server. Wait for {wait:.3g} s, "
                "or have the operator allow more (polydelta tenant set).",
                wait,
            )
        if tenant.requests_per_minute:
            self._of(tenant.name).requests.take(1, tenant.requests_per_minute)

    def headers(self, tenant: Tenant) -> dict[str, str]:
        """What is left, in OpenAI's headers."""
        told: dict[str, str] = {}
        for what, limit, bucket in self._limits(tenant):
            told[f"x-ratelimit-limit-{what}"] = str(limit)
            told[f"x-ratelimit-remaining-{what}"] = str(bucket.left(limit))
            told[f"x-ratelimit-reset-{what}"] = _duration(bucket.refill(limit))
        return told

    def ended(self, timeline: Timeline) -> None:
        """Take the tokens of an answer."""
        tenant = self.tenant(timeline.tenant)
        if tenant is not None and tenant.tokens_per_minute:
            tokens = timeline.prompt_tokens + timeline.tokens
            self._of(tenant.name).tokens.take(tokens, tenant.tokens_per_minute)

    def _of(self, tenant: str) -> _Used:
        return self._used.setdefault(tenant, _Used())

    def _limits(self, tenant: Tenant) -> list[tuple[str, int, Bucket]]:
        used = self._of(tenant.name)
        both = (
            ("requests", tenant.requests_per_minute, used.requests),
            ("tokens", tenant.tokens_per_minute, used.tokens),
        )
        return [(what, limit, bucket) for what, limit, bucket in both if limit]


def _duration(seconds: float) -> str:
    """A time as OpenAI writes it: 20ms, 7.5s, 6m0s."""
    if seconds < 1:
        return f"{ceil(seconds * 1e3)}ms"
    if seconds < _MINUTE:
        return f"{ceil(seconds * 1e3) / 1e3:g}s"
    minutes, rest = divmod(ceil(seconds), 60)
    return f"{minutes}m{rest}s"
