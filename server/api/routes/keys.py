"""`/v1/keys/self`: what the key that a request comes with is good for."""

from fastapi import APIRouter, Request
from pydantic import BaseModel

from server.api.dependencies import key_of
from server.registry.keys import Scope
from server.registry.names import SHARED

router = APIRouter(prefix="/v1/keys", tags=["native"])


class KeyBody(BaseModel):
    """A key's name, its tenant, empty for the shared one, and all that it is good for.

    `expires` is in Unix seconds, null for keys that last. Where no keys are used, everybody may do
    all, and `name` is null.
    """

    name: str | None
    tenant: str
    scopes: list[Scope]
    expires: float | None


@router.get("/self")
async def show_own_key(request: Request) -> KeyBody:
    """Show what the key of this request is good for."""
    key = key_of(request)
    if key is None:
        return KeyBody(name=None, tenant=SHARED, scopes=list(Scope), expires=None)
    scopes = [scope for scope in Scope if key.allows(scope)]
    return KeyBody(name=key.name, tenant=key.tenant, scopes=scopes, expires=key.expires)
