"""`/v1/audit`: who changed which task, when, and what came of it."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from server.api.dependencies import PlainName, RegistryDep
from server.api.http.body import BodyRoute
from server.registry.audit import Entry

router = APIRouter(route_class=BodyRoute, prefix="/v1/audit", tags=["native"])

_MOST = 1000


class EntryBody(BaseModel):
    """One change, or one that was refused: then `outcome` is the error's code, else `done`.

    `who` is a key's name, `operator` for the command line, `server` for what servers do by their
    settings and rules, or `anonymous` where there are no keys. `at` is in Unix seconds. Without a
    task it is about a key, which `about` names.
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

    @classmethod
    def of(cls, entry: Entry) -> "EntryBody":
        """Show an entry."""
        return cls(
            number=entry.number,
            at=entry.at,
            who=entry.who,
            kind=entry.kind,
            tenant=entry.task.tenant,
            task=entry.task.name,
            version=entry.version,
            about=entry.about,
            outcome=entry.outcome,
        )


class AuditBody(BaseModel):
    """Entries, the newest first; there may be older ones `before` the last of a full page."""

    entries: list[EntryBody]


@router.get("")
def show_audit(
    registry: RegistryDep,
    limit: Annotated[int, Query(ge=1, le=_MOST)] = 100,
    before: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    task: Annotated[PlainName | None, Query()] = None,
) -> AuditBody:
    """Show what was changed: of the caller's own tasks, for keys of no tenant of all."""
    entries = registry.audit(limit, before, task)
    return AuditBody(entries=[EntryBody.of(each) for each in entries])
