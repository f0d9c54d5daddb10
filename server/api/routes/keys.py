"""`/v1/keys`: who may ask; made and revoked by operators, and what one's own is good for."""

import time
from typing import Annotated, Literal, TypeAlias

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, Field

from server.api.dependencies import AccessDep, OperatorDep, PlainName, key_of
from server.api.http.body import Body, BodyRoute, Items
from server.api.writes import WritesDep
from server.registry.catalogue.named import Known
from server.registry.keys import MAX_DAYS, MAX_TENANT, Key, Scope, new_key
from server.registry.names import PLAIN_NAME, SHARED

router = APIRouter(route_class=BodyRoute, prefix="/v1/keys", tags=["native"])

_TENANT = f"^({PLAIN_NAME})?$"

ScopeName: TypeAlias = Literal["infer", "read", "write", "admin"]


class KeyBody(BaseModel):
    """A key's name, its tenant, empty for the shared one, and all that it is good for.

    `expires` is in Unix seconds, null for keys that last. Where no keys are used, everybody may do
    all, and `name` is null.
    """

    name: str | None
    tenant: str
    scopes: list[Scope]
    expires: float | None


class KnownKey(BaseModel):
    """A key that there is or was, without what opens anything; times are in Unix seconds.

    One that is not `good` was revoked, has expired or is damaged; of damaged ones nothing but the
    name is known.
    """

    name: str
    tenant: str = SHARED
    scopes: list[Scope] = []
    created: float | None = None
    expires: float | None = None
    revoked: float | None = None
    good: bool = False
    damaged: bool = False

    @classmethod
    def of(cls, key: Key) -> "KnownKey":
        """Show a key."""
        return cls(
            name=key.name,
            tenant=key.tenant,
            scopes=sorted(key.scopes),
            created=key.created,
            expires=key.expires,
            revoked=key.revoked,
            good=key.is_good(time.time()),
        )


class KnownKeys(BaseModel):
    """All keys by name, revoked ones until another takes the name, damaged ones last."""

    keys: list[KnownKey]

    @classmethod
    def of(cls, known: Known[Key]) -> "KnownKeys":
        """Show all keys of a registry."""
        damaged = [KnownKey(name=name, damaged=True) for name in known.damaged]
        return cls(keys=[*map(KnownKey.of, known.sound), *damaged])


class NewKeyBody(Body):
    """A key to make: of the shared tenant and good for ever, unless a tenant and days are given.

    The scope `admin` has all others.
    """

    name: PlainName
    tenant: Annotated[str, Field(pattern=_TENANT, max_length=MAX_TENANT)] = SHARED
    scopes: Annotated[Items[ScopeName], Field(min_length=1)] = Field(["infer"])
    days: Annotated[float, Field(gt=0, le=MAX_DAYS)] | None = None


class MadeKey(KnownKey):
    """A key that was made, and the `key` itself: it is shown this once and kept nowhere."""

    key: str


@router.get("")
def list_keys(access: AccessDep) -> KnownKeys:
    """List all keys, without what opens anything, revoked ones until another takes the name."""
    return KnownKeys.of(access.known())


@router.post("", status_code=201)
async def add_key(
    body: NewKeyBody, operator: OperatorDep, access: AccessDep, writes: WritesDep, answer: Response
) -> MadeKey:
    """Make a key, and show it this once."""
    made, text = new_key(body.name, body.tenant, map(Scope, body.scopes), body.days)
    await writes.run(access.add, made, operator)
    answer.headers["cache-control"] = "no-store"
    return MadeKey(**KnownKey.of(made).model_dump(), key=text)


@router.delete("/{name}", status_code=204)
async def revoke_key(
    name: Annotated[PlainName, Path()], operator: OperatorDep, access: AccessDep, writes: WritesDep
) -> None:
    """Let a key be used no more; it stays listed until another takes the name."""
    await writes.run(access.revoke, name, operator)


@router.get("/self")
async def show_own_key(request: Request) -> KeyBody:
    """Show what the key of this request is good for."""
    key = key_of(request)
    if key is None:
        return KeyBody(name=None, tenant=SHARED, scopes=list(Scope), expires=None)
    scopes = [scope for scope in Scope if key.allows(scope)]
    return KeyBody(name=key.name, tenant=key.tenant, scopes=scopes, expires=key.expires)
