"""`/v1/models`: the base and the tasks, as OpenAI's clients list models."""

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from deltas.delta import TaskType
from server.api.dependencies import EngineDep, ModelId, RegistryDep
from server.api.fields import fields
from server.engine.engine import Engine
from server.registry.registration import Registration
from server.registry.version import BASE_NAME, Version

router = APIRouter(prefix="/v1/models", tags=["openai"], dependencies=[fields(task="model")])


class Model(BaseModel):
    """The base, or a task whose parent is the base; `created` in Unix seconds.

    `type` and `kind` say what it answers and how it changes the base, as in `/v1/tasks`.
    """

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "polydelta"
    root: str
    parent: str | None
    max_model_len: int
    type: TaskType
    kind: str


class ModelList(BaseModel):
    """The base first, then the tasks."""

    object: Literal["list"] = "list"
    data: list[Model]


@router.get("")
def list_models(engine: EngineDep, registry: RegistryDep) -> ModelList:
    """List what `model` may name."""
    return ModelList(data=[_base(engine), *(_task(task, engine) for task in registry.all())])


@router.get("/{name}")
def show_model(name: ModelId, engine: EngineDep, registry: RegistryDep) -> Model:
    """Show the base, a task, or one of its versions (`NAME@VERSION`)."""
    if name == BASE_NAME:
        return _base(engine)
    return _task(registry.get(name), engine).model_copy(update={"id": name})


def _base(engine: Engine) -> Model:
    return Model(
        id=BASE_NAME,
        root=engine.base.name,
        parent=None,
        max_model_len=engine.context,
        type=TaskType.GENERATE if engine.base.generates else TaskType.EMBED,
        kind=BASE_NAME,
    )


def room_of(version: Version, engine: Engine) -> int:
    """How many tokens a task's input and answer may have."""
    return engine.context - version.extent.rows - version.extent.cached


def _task(task: Registration, engine: Engine) -> Model:
    return Model(
        id=task.name,
        created=int(task.version.created),
        root=task.name,
        parent=BASE_NAME,
        max_model_len=room_of(task.version, engine),
        type=task.version.type,
        kind=task.version.kind,
    )
