"""`/pooling`: what vLLM's clients ask of any task with a head."""

import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from fastapi import Request as HTTPRequest
from pydantic import BaseModel

from deltas.delta import TaskType
from server.api.answers import SubmitDep
from server.api.dependencies import RegistryDep
from server.api.fields import fields
from server.api.http.body import BodyRoute
from server.api.http.connection import while_connected
from server.api.http.identity import new_id
from server.api.naming import named
from server.api.outputs import UsageBody
from server.api.packing import packed
from server.api.pooled import ReadingBody
from server.api.unsupported import Nothing, Only
from server.api.writing import json_response, written
from server.engine.output import Classified, Embedded, Output
from server.errors import CapabilityMismatch, InvalidRequest

router = APIRouter(route_class=BodyRoute, tags=["vllm"], dependencies=[fields(task="model")])

_POOLED = {"embed": TaskType.EMBED, "classify": TaskType.CLASSIFY}


class PoolingBody(ReadingBody):
    """Texts, token ids or a chat; `task` says what is expected of the task that `model` names."""

    task: Literal["embed", "classify"] | None = None
    encoding_format: Literal["float", "base64"] = "float"
    embed_dtype: Annotated[Any, Only("float32")] = None
    endianness: Annotated[Any, Only("native", "little")] = None
    dimensions: Nothing = None


class Pooled(BaseModel):
    """An input's embedding or its labels' scores; base64 holds little-endian 32-bit floats."""

    index: int
    object: Literal["pooling"] = "pooling"
    data: list[float] | str


class Poolings(BaseModel):
    """What was read, in the order of the inputs."""

    id: str
    object: Literal["list"] = "list"
    created: int
    model: str
    data: list[Pooled]
    usage: UsageBody


@router.post("/pooling", response_model=Poolings)
async def pool(
    body: PoolingBody, http: HTTPRequest, registry: RegistryDep, submit: SubmitDep
) -> Response:
    """Read inputs with a task that embeds or classifies."""
    name = new_id("pool")
    wanted = (_POOLED[body.task],) if body.task else tuple(_POOLED.values())
    task = named(registry, body.model, *wanted)
    answers = await submit(body.requests(name, task))
    version = answers.version
    if version.type not in wanted:
        raise CapabilityMismatch(f"The task '{task}' is of type {version.type.value}.", "task")
    if version.type is TaskType.EMBED and body.score_function == "none":
        text = "An embedding has the length that its task gives it; leave use_activation out."
        raise InvalidRequest(text, "use_activation")
    outputs = await while_connected(http.receive, answers.outputs())
    plain = body.encoding_format == "float"

    def make() -> Poolings:
        rows = [_values(output, version.labels) for output in outputs]
        return Poolings(
            id=name,
            object="list",
            created=int(time.time()),
            model=task,
            data=[
                Pooled(index=index, object="pooling", data=row if plain else packed(row))
                for index, row in enumerate(rows)
            ],
            usage=UsageBody.of(answers.usage),
        )

    return json_response(await written(outputs, make))


def _values(output: Output, labels: tuple[str, ...]) -> list[float]:
    if isinstance(output, Embedded):
        return output.embedding
    return [output.scores[label] for label in labels] if isinstance(output, Classified) else []
