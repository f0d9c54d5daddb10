"""`/v1/tasks`: the tasks that there are, and changing them while traffic runs."""

from typing import Annotated, Literal, TypeAlias

from fastapi import APIRouter, Header, Response
from pydantic import BaseModel

from deltas.delta import TaskType
from server.api.checkpoint import BODY_SCHEMA, IncomingDep
from server.api.dependencies import EngineDep, ModelId, RegistryDep, TaskId
from server.api.writes import WritesDep
from server.engine.engine import Engine
from server.engine.residency import Residence
from server.registry.registration import Registration
from server.registry.version import Version

router = APIRouter(prefix="/v1/tasks", tags=["native"])


class VersionBody(BaseModel):
    """One delta that a task has had; `bytes` of tensors, `created` in Unix seconds."""

    version: str
    digest: str
    kind: str
    bytes: int
    created: float

    @classmethod
    def of(cls, version: Version) -> "VersionBody":
        """Show a version."""
        return cls(
            version=version.ref.version,
            digest=version.ref.digest,
            kind=version.kind,
            bytes=version.bytes,
            created=version.created,
        )


class TaskBody(BaseModel):
    """A task, its active version, and where that version's tensors are.

    `warnings` say what is odd about the active version, such as that it changes nothing.
    """

    id: str
    type: TaskType
    kind: str
    kinds: list[str]
    version: str
    versions: list[VersionBody]
    labels: list[str] | None
    resident: Residence
    bytes: int
    requests: int
    base: str
    warnings: list[str]

    @classmethod
    def of(cls, task: Registration, engine: Engine) -> "TaskBody":
        """Show a registered task."""
        active = task.active
        return cls(
            id=task.name,
            type=active.type,
            kind=active.kind,
            kinds=list(active.kinds),
            version=active.ref.version,
            versions=[VersionBody.of(version) for version in task.versions],
            labels=list(active.labels) or None,
            resident=engine.residence(active.ref),
            bytes=active.bytes,
            requests=task.requests,
            base=engine.base.name,
            warnings=list(active.warnings),
        )


class TaskList(BaseModel):
    """All tasks."""

    tasks: list[TaskBody]


Condition: TypeAlias = Annotated[str | None, Header(max_length=256)]


@router.get("")
def list_tasks(engine: EngineDep, registry: RegistryDep) -> TaskList:
    """List all tasks."""
    return TaskList(tasks=[TaskBody.of(task, engine) for task in registry.all()])


@router.get(
    "/{name}",
    response_model=TaskBody,
    responses={304: {"description": "If-None-Match names the active version"}},
)
def show_task(
    name: ModelId,
    engine: EngineDep,
    registry: RegistryDep,
    response: Response,
    if_none_match: Condition = None,
) -> TaskBody | Response:
    """Show one task; its ETag names the active version."""
    task = TaskBody.of(registry.get(name), engine)
    etag = _etag(task)
    if if_none_match is not None and etag in if_none_match:
        return Response(status_code=304, headers={"etag": etag})
    response.headers["etag"] = etag
    return task


@router.put("/{name}", openapi_extra=BODY_SCHEMA, responses={201: {"model": TaskBody}})
async def put_task(
    name: TaskId,
    incoming: IncomingDep,
    engine: EngineDep,
    response: Response,
    if_match: Condition = None,
    if_none_match: Annotated[Literal["*"] | None, Header()] = None,
) -> TaskBody:
    """Add a task or replace its delta, at once and for later requests only.

    201 if that made a difference, 200 if the task has this very delta already.
    """
    expected = if_match.removeprefix("W/").strip('"') if if_match else None
    registration, new = await incoming.put(
        name, if_match=expected, if_none_match=if_none_match is not None
    )
    task = TaskBody.of(registration, engine)
    response.status_code = 201 if new else 200
    response.headers["etag"] = _etag(task)
    return task


@router.delete("/{name}", status_code=204)
async def delete_task(name: TaskId, registry: RegistryDep, writes: WritesDep) -> None:
    """Remove a task; requests under way still finish on its delta."""
    await writes.run(registry.remove, name)


def _etag(task: TaskBody) -> str:
    return f'"{task.version}"'
