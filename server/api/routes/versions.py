"""`/v1/tasks/{id}/versions`, `…/activate`, `…/aliases`: going back, and names for versions."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema

from deltas.training.card import scores_of
from server.api.conditions import ConditionDep
from server.api.dependencies import EngineDep, RegistryDep, TaskId
from server.api.http.body import Body, BodyRoute
from server.api.routes.tasks import TaskBody, VersionBody, etag_of
from server.api.writes import WritesDep
from server.registry.names import MEANS_ONE, PLAIN_NAME
from server.registry.task import Task
from server.registry.version import Version

router = APIRouter(route_class=BodyRoute, prefix="/v1/tasks/{name}", tags=["native"])

_ALIAS = {"type": "string", "pattern": f"^{PLAIN_NAME}$", "not": {"pattern": f"^({MEANS_ONE})$"}}

Alias: TypeAlias = Annotated[str, Path(), WithJsonSchema(_ALIAS)]


def _whole(value: Any) -> Any:
    # To JSON Schema 5.0 is an integer.
    return int(value) if isinstance(value, float) and value.is_integer() else value


VersionNumber: TypeAlias = Annotated[int, Field(ge=1), BeforeValidator(_whole)]


class WhichBody(Body):
    """A version: its number, an alias, or its digest or the beginning of it.

    An integer is a number and nothing else.
    """

    version: Annotated[str, Field(min_length=1, max_length=128)] | VersionNumber


class DescribedVersion(VersionBody):
    """The same with what the delta tells of itself: its card, and the scores in that by name.

    A card that is longer than 8,192 characters is not kept.
    """

    card: Any
    scores: dict[str, float]

    @classmethod
    def of(
        cls, version: Version, active: int | None, aliases: Mapping[str, int]
    ) -> "DescribedVersion":
        """Describe a version of a task that has one of some number answer."""
        shown = VersionBody.of(version, active, aliases)
        card = json.loads(version.card) if version.card else None
        return cls(**shown.model_dump(), card=card, scores=scores_of(version.card))


class VersionsBody(BaseModel):
    """All versions of a task, the newest first; once the task is removed, none is active."""

    task: str
    versions: list[DescribedVersion]

    @classmethod
    def of(cls, task: Task) -> "VersionsBody":
        """Show a task with what it can go back to."""
        newest = reversed(task.versions)
        shown = [DescribedVersion.of(version, task.active, task.aliases) for version in newest]
        return cls(task=task.name.name, versions=shown)


@router.get("/versions")
def list_versions(name: TaskId, registry: RegistryDep) -> VersionsBody:
    """List the versions of a task, even of one that was removed not long ago."""
    return VersionsBody.of(registry.versions(name))


@router.post("/activate")
async def activate(
    name: TaskId,
    body: WhichBody,
    engine: EngineDep,
    registry: RegistryDep,
    writes: WritesDep,
    response: Response,
    if_match: ConditionDep,
) -> TaskBody:
    """Have another version answer, at once and for later requests only."""
    task = await writes.run(registry.activate, name, body.version, if_match=if_match)
    shown = TaskBody.of(task, engine)
    response.headers["etag"] = etag_of(shown)
    return shown


@router.put("/aliases/{alias}")
async def put_alias(
    name: TaskId,
    alias: Alias,
    body: WhichBody,
    registry: RegistryDep,
    writes: WritesDep,
    if_match: ConditionDep,
) -> VersionsBody:
    """Give a version a free name, by which requests may ask for it, as `task@alias`."""
    task = await writes.run(registry.alias, name, alias, body.version, if_match=if_match)
    return VersionsBody.of(task)


@router.delete("/aliases/{alias}", status_code=204)
async def delete_alias(
    name: TaskId, alias: Alias, registry: RegistryDep, writes: WritesDep, if_match: ConditionDep
) -> None:
    """Take a free name away."""
    await writes.run(registry.alias, name, alias, None, if_match=if_match)
