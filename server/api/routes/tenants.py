"""`/v1/tenants`: what tenants may use, as operators set it."""

from dataclasses import asdict
from typing import Annotated, TypeAlias

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from server.api.dependencies import AccessDep, OperatorDep, PlainName
from server.api.http.body import Body, BodyRoute
from server.api.writes import WritesDep
from server.errors import InvalidRequest
from server.registry.keys import MAX_TENANT
from server.registry.tenant import MAX_WEIGHT, Tenant

router = APIRouter(route_class=BodyRoute, prefix="/v1/tenants", tags=["native"])

_MOST = 2**53

Limit: TypeAlias = Annotated[int, Field(ge=0, le=_MOST)]
TenantId: TypeAlias = Annotated[PlainName, Field(max_length=MAX_TENANT), Path()]


class LimitsBody(Body):
    """Limits to set: what is not given stays as it is, 0 lifts a limit.

    `requests_per_minute` and `tokens_per_minute` are of each server, `tasks` that answer and
    `gigabytes` of deltas of the whole registry. Tenants that wait are served by `weight`.
    """

    requests_per_minute: Limit | None = None
    tokens_per_minute: Limit | None = None
    tasks: Limit | None = None
    gigabytes: Annotated[float, Field(ge=0, le=_MOST)] | None = None
    weight: Annotated[int, Field(ge=1, le=MAX_WEIGHT)] | None = None


class TenantBody(BaseModel):
    """What a tenant may use; where a limit is null there is none."""

    name: str
    requests_per_minute: int | None
    tokens_per_minute: int | None
    tasks: int | None
    gigabytes: float | None
    weight: int

    @classmethod
    def of(cls, tenant: Tenant) -> "TenantBody":
        """Show a tenant."""
        return cls(**asdict(tenant))


class TenantsBody(BaseModel):
    """Every tenant for whom something was set, by name."""

    tenants: list[TenantBody]


@router.get("")
def list_tenants(access: AccessDep) -> TenantsBody:
    """List the tenants for whom something was set."""
    return TenantsBody(tenants=[TenantBody.of(each) for each in access.tenants()])


@router.patch("/{name}")
async def set_limits(
    name: TenantId, body: LimitsBody, operator: OperatorDep, access: AccessDep, writes: WritesDep
) -> TenantBody:
    """Set limits of a tenant; it need not have keys yet."""
    limits = body.model_dump(exclude_none=True)
    if not limits:
        raise InvalidRequest("Give a limit or a weight; a limit of 0 lifts it.")
    return TenantBody.of(await writes.run(access.limit, name, limits, operator))
