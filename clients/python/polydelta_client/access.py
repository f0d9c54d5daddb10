"""Access: what keys are good for, what tenants may use, and who changed what."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypedDict

from ._result import Answer, Result

_BEGINNING = 7  # characters of a key that tell it from others: pd_ and four


@dataclass(frozen=True, repr=False)
class Key(Answer):
    """What the client's key is good for: "infer", "read", "write" and "admin" are `scopes`.

    `tenant` is empty for the shared one; `expires` is in Unix seconds, None for keys that last.
    Where a server uses no keys everybody may do all, and `name` is None.
    """

    name: str | None
    tenant: str
    scopes: list[str]
    expires: float | None


@dataclass(frozen=True, repr=False)
class KnownKey(Result):
    """A key that there is or was, without what opens anything; times are in Unix seconds.

    One that is not `good` was revoked, has expired or is damaged; of damaged ones nothing but the
    name is known. `tenant` is empty for the shared one.
    """

    name: str
    tenant: str
    scopes: list[str]
    created: float | None
    expires: float | None
    revoked: float | None
    good: bool
    damaged: bool


@dataclass(frozen=True, repr=False)
class MadeKey(Answer):
    """A key that was made. `key` is what its holder sends: given this once, kept nowhere.

    It shows itself, in a notebook or a log, with the beginning of `key` alone.
    """

    name: str
    tenant: str
    scopes: list[str]
    expires: float | None
    key: str

    def _told(self) -> Iterator[tuple[str, object]]:
        hidden = f"{self.key[:_BEGINNING]}…"
        return ((name, hidden if name == "key" else value) for name, value in super()._told())


class Limits(TypedDict, total=False):
    """What to set of a tenant: what is not given stays as it is, 0 lifts a limit.

    `requests_per_minute` and `tokens_per_minute` are of each server, `tasks` and `gigabytes` of
    deltas of the whole registry. Tenants that wait are served by `weight`, 1 to 1000.
    """

    requests_per_minute: int
    tokens_per_minute: int
    tasks: int
    gigabytes: float
    weight: int


@dataclass(frozen=True, repr=False)
class Tenant(Answer):
    """What a tenant may use; where a limit is None there is none."""

    name: str
    requests_per_minute: int | None
    tokens_per_minute: int | None
    tasks: int | None
    gigabytes: float | None
    weight: int


@dataclass(frozen=True, repr=False)
class Change(Result):
    """A change of a task, a key or limits, or one that was refused; `at` is in Unix seconds.

    `who` is a key's name, "operator" for the command line, "server" for what servers do by their
    settings and rules, or "anonymous" where there are no keys. `outcome` is "done" or the code of
    the error. Where it is about a key or limits, `task` is empty; `about` names the key.
    """

    number: int
    at: float
    who: str
    kind: str
    tenant: str
    task: str
    version: int | None
    about: str
    outcome: str
