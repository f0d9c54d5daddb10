"""`/v1/tasks`: the tasks that there are, and changing them while traffic runs."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from fastapi import APIRouter, Header, Query, Response
from pydantic import BaseModel

from deltas.delta import TaskType
from server.api.checkpoint import BODY_SCHEMA, IncomingDep
from server.api.conditions import ConditionDep, KnownDep
from server.api.dependencies import EngineDep, ModelId, RegistryDep, TaskId
from server.api.writes import WritesDep
from server.engine.engine import Engine
from server.engine.last_errors import LastError
from server.engine.residency import Residence
from server.registry.condition import ANY
from server.registry.names import TaskName
from server.registry.registration import Registration
from server.registry.version import Version

router = APIRouter(prefix="/v1/tasks", tags=["native"])


class VersionBody(BaseModel):
    """One delta that a task has had.

    `number` counts them from 1, `bytes` are those of its tensors, `created` is in Unix seconds;
    `source` is where it came from, `by` who put it, null where that is not known; `active` is the
    one that answers, `aliases` are names by which requests may ask for it.
    """

    version: str
    number: int
    digest: str
    kind: str
    bytes: int
    created: float
    source: str
    by: str | None
    active: bool
    aliases: list[str]

    @classmethod
    def of(cls, version: Version, active: int | None, aliases: Mapping[str, int]) -> "VersionBody":
        """Show a version of a task that has one of some number answer."""
        return cls(
            version=version.ref.version,
            number=version.number,
            digest=version.ref.digest,
            kind=version.kind,
            bytes=version.bytes,
            created=version.created,
            source=version.source,
            by=version.by or None,
            active=version.number == active,
            aliases=[alias for alias, number in aliases.items() if number == version.number],
        )


class TaskBody(BaseModel):
    """A task at one version, the active one where none is named, and where its tensors are.

    `tenant` is whose it is, empty where it is shared. `requests` counts what it was asked since the
    server started, and `last_error` is what one of these failed with last. `warnings` say what is
    odd about that version, such as that it changes nothing.
    """

    id: str
    tenant: str
    type: TaskType
    kind: str
    kinds: list[str]
    version: str
    versions: list[VersionBody]
    labels: list[str] | None
    resident: Residence
    bytes: int
    requests: int
    last_error: LastError | None
    base: str
    warnings: list[str]

    @classmethod
    def of(cls, task: Registration, engine: Engine) -> "TaskBody":
        """Show a registered task, or one of its versions."""
        shown = task.version
        return cls(
            id=task.name,
            tenant=task.tenant,
            type=shown.type,
            kind=shown.kind,
            kinds=list(shown.kinds),
            version=shown.ref.version,
            versions=[
                VersionBody.of(version, task.active.number, task.aliases)
                for version in task.versions
            ],
            labels=list(shown.labels) or None,
            resident=engine.residence(shown.ref),
            bytes=shown.bytes,
            requests=task.requests,
            last_error=engine.last_errors.of(TaskName(task.tenant, task.name)),
            base=engine.base.name,
            warnings=list(shown.warnings),
        )


class CardBody(BaseModel):
    """How the active version came about, as whoever made it tells; empty where nobody did.

    What `polydelta train` writes has `data`, `command`, `recipe` and `held_out`: scores.
    """

    task: str
    version: str
    card: dict[str, Any]


class TaskList(BaseModel):
    """All tasks."""

    tasks: list[TaskBody]


Lifetime: TypeAlias = Annotated[float | None, Query(ge=1, le=3.2e9, allow_inf_nan=False)]
"""Seconds until the task is removed by itself."""


Activate: TypeAlias = Annotated[bool | None, Query()]
"""Whether a delta answers at once; unless said, it does where no versions share the traffic."""


@router.get("")
def list_tasks(engine: EngineDep, registry: RegistryDep) -> TaskList:
    """List all tasks."""
    return TaskList(tasks=[TaskBody.of(task, engine) for task in registry.all()])


@router.get(
    "/{name}",
    response_model=TaskBody,
    responses={304: {"description": "If-None-Match names the version"}},
)
def show_task(
    name: ModelId,
    engine: EngineDep,
    registry: RegistryDep,
    response: Response,
    known: KnownDep,
) -> TaskBody | Response:
    """Show one task, or one of its versions (`NAME@VERSION`); its ETag names the version."""
    task = TaskBody.of(registry.get(name), engine)
    etag = etag_of(task)
    if not known.isdisjoint({ANY, task.version}):
        return Response(status_code=304, headers={"etag": etag})
    response.headers["etag"] = etag
    return task


@router.get("/{name}/card")
def show_card(name: ModelId, registry: RegistryDep) -> CardBody:
    """Show a task's card."""
    task = registry.get(name)
    return CardBody(task=task.name, version=task.version.ref.version, card=registry.card(name))


@router.put("/{name}", openapi_extra=BODY_SCHEMA, responses={201: {"model": TaskBody}})
async def put_task(
    name: TaskId,
    incoming: IncomingDep,
    engine: EngineDep,
    response: Response,
    if_match: ConditionDep,
    ttl_seconds: Lifetime = None,
    activate: Activate = None,
    if_none_match: Annotated[Literal["*"] | None, Header()] = None,
) -> TaskBody:
    """Add a task or replace its delta, at once and for later requests only.

    With `activate=false` the delta is there as a version, and the active one goes on to answer.

    201 if that made a difference, 200 if the task has this very delta already.
    """
    registration, new = await incoming.put(
        name,
        lifetime=ttl_seconds,
        activate=activate,
        if_match=if_match,
        if_none_match=if_none_match is not None,
    )
    task = TaskBody.of(registration, engine)
    response.status_code = 201 if new else 200
    response.headers["etag"] = etag_of(task)
    return task


@router.delete("/{name}", status_code=204)
async def delete_task(
    name: TaskId,
    registry: RegistryDep,
    writes: WritesDep,
    if_match: ConditionDep,
    forever: bool = False,
) -> None:
    """Remove a task; requests under way still finish on its delta.

    Unless it is removed forever it can be brought back for some time, by activating a version.
    """
    await writes.run(registry.remove, name, if_match=if_match, forever=forever)


def etag_of(task: TaskBody) -> str:
    """The ETag that names the version of a task."""
    return f'"{task.version}"'
