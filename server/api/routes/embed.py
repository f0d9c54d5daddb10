"""`/embed`: text-embeddings-inference's embeddings of texts."""

import math
from typing import Annotated, Any

from fastapi import APIRouter, Response
from fastapi import Request as HTTPRequest
from pydantic import RootModel

from deltas.delta import TaskType
from server.api.answers import SubmitDep
from server.api.dependencies import RegistryDep
from server.api.fields import fields
from server.api.http.body import BodyRoute
from server.api.http.connection import while_connected
from server.api.http.identity import new_id
from server.api.inputs import Prompt, inputs_of
from server.api.naming import OptionalModel, named
from server.api.prompting import NamedPromptField, TruncateFields
from server.api.unsupported import Nothing, On, Only
from server.api.writing import json_response, written
from server.engine.output import Embedded
from server.engine.request import Request
from server.errors import CapabilityMismatch

router = APIRouter(
    route_class=BodyRoute,
    tags=["hugging face"],
    dependencies=[fields(task="model", input="inputs")],
)


class EmbedBody(TruncateFields, NamedPromptField):
    """Texts or token ids to embed; `normalize` is the task's own affair unless true."""

    model: OptionalModel | None = None
    inputs: Prompt
    normalize: On = None
    dimensions: Nothing = None
    encoding_format: Annotated[Any, Only("float")] = None


class EmbedAnswer(RootModel[list[list[float]]]):
    """The embeddings, in the order of the inputs."""


@router.post("/embed", response_model=EmbedAnswer)
async def embed(
    body: EmbedBody, http: HTTPRequest, registry: RegistryDep, submit: SubmitDep
) -> Response:
    """Embed inputs with the task that `model` names."""
    name = new_id("embed")
    task = named(registry, body.model, TaskType.EMBED)
    options = body.named(body.prompting())
    answers = await submit(
        [
            Request(f"{name}-{at}", task, each, prompt=options, generate=False)
            for at, each in enumerate(inputs_of(body.inputs))
        ]
    )
    if answers.version.type is not TaskType.EMBED:
        raise CapabilityMismatch(f"The task '{task}' does not give embeddings.", "task")
    outputs = await while_connected(http.receive, answers.outputs())
    scale = _unit if body.normalize else list[float]

    def make() -> EmbedAnswer:
        return EmbedAnswer([scale(o.embedding) for o in outputs if isinstance(o, Embedded)])

    return json_response(await written(outputs, make))


def _unit(vector: list[float]) -> list[float]:
    length = math.hypot(*vector)
    return [value / length for value in vector] if length else vector
