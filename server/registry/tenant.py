"""Tenants: what each may use of the servers of a registry."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from server.errors import InvalidRequest
from server.registry.keys import MAX_TENANT
from server.registry.names import is_plain


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant's limits; where one is None there is none.

    `requests_per_minute` and `tokens_per_minute`, prompts' and generated ones together, are of
    each server; `tasks` that answer and `gigabytes` of deltas, in GiB of tensors, are of the whole
    registry. Tenants that wait are served rows in proportion to their `weight`.
    """

    name: str
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    tasks: int | None = None
    gigabytes: float | None = None
    weight: int = 1

    def limited(self, limits: Mapping[str, float]) -> "Tenant":
        """The same with some of its fields set, as callers give them: 0 lifts a limit."""
        return replace(self, **{name: value or None for name, value in limits.items()})


MAX_WEIGHT = 1000
"""How often rows of one tenant may come for one of another's."""


def check_tenant(name: str) -> None:
    """Raise InvalidRequest for what is no tenant's name; the shared one has no limits."""
    if not is_plain(name) or len(name) > MAX_TENANT:
        raise InvalidRequest(
            f"A tenant's name is 1 to {MAX_TENANT} of the characters A-Z a-z 0-9 . _ - and begins "
            "with a letter or a digit; polydelta key ls shows whose keys there are."
        )
