"""`/v1/embeddings`: OpenAI's embeddings of texts."""

from math import hypot
from typing import Annotated, Any, Literal, TypeAlias

from fastapi import APIRouter, Response
from fastapi import Request as HTTPRequest
from pydantic import BaseModel, Discriminator, Field, Tag

from deltas.delta import TaskType
from server.api.answers import embedded
from server.api.caller import CallDep, UserFields
from server.api.dependencies import EngineDep, RegistryDep
from server.api.fields import fields
from server.api.http.body import BodyRoute, Items
from server.api.http.connection import while_connected
from server.api.http.identity import new_id
from server.api.inputs import MAX_EMBEDDINGS, Collection, inputs_of
from server.api.lookup import LookUpDep
from server.api.naming import ModelName, named
from server.api.packing import packed
from server.api.prompting import HeadPromptFields, NamedPromptField
from server.api.unsupported import UnsupportedEmbedding
from server.api.writing import json_response, written
from server.engine.output import Embedded
from server.engine.request import Call, Request
from server.errors import CapabilityMismatch, InvalidRequest
from server.registry.namespace import Namespace
from server.registry.version import Version

router = APIRouter(route_class=BodyRoute, tags=["openai"], dependencies=[fields(task="model")])


def _model_form(value: Any) -> str | None:
    if isinstance(value, str):
        return "(model)"
    return "(models)" if isinstance(value, list) else None


Models: TypeAlias = Annotated[Items[ModelName], Field(min_length=1, max_length=MAX_EMBEDDINGS)]
OneOrMore: TypeAlias = Annotated[
    Annotated[ModelName, Tag("(model)")] | Annotated[Models, Tag("(models)")],
    Discriminator(
        _model_form,
        custom_error_type="model_form",
        custom_error_message="Input should be a task's name, or a list of one for each input",
    ),
]


class EmbeddingsBody(HeadPromptFields, NamedPromptField, UserFields, UnsupportedEmbedding):
    """Texts or token ids to embed with the task that `model` names, or each with one of a list.

    A list has a name for each input; no name is needed where only one task embeds. `dimensions`
    are the embeddings' own, or one of the task's Matryoshka sizes.
    """

    model: OneOrMore | None = None
    input: Collection
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int, Field(ge=1, lt=1 << 31)] | None = None

    def requests(self, name: str, call: Call, registry: Namespace) -> list[Request]:
        """What the engine is asked: one request for each input."""
        inputs = inputs_of(self.input)
        if not isinstance(self.model, list):
            tasks = [named(registry, self.model, TaskType.EMBED)] * len(inputs)
        elif len(self.model) == len(inputs):
            tasks = self.model
        else:
            text = (
                f"There are {len(self.model)} models for {len(inputs)} inputs; name one for each."
            )
            raise InvalidRequest(text, "model")
        options = self.named(self.prompting())
        return [
            Request(f"{name}-{i}", task, each, prompt=options, generate=False, call=call)
            for i, (task, each) in enumerate(zip(tasks, inputs, strict=True))
        ]


class Embedding(BaseModel):
    """One input's embedding; base64 holds little-endian 32-bit floats.

    `model` is there where the request names several.
    """

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str
    model: str | None = None


class EmbeddingsUsage(BaseModel):
    """Tokens read."""

    prompt_tokens: int
    total_tokens: int


class Embeddings(BaseModel):
    """The embeddings, in the order of the inputs."""

    object: Literal["list"] = "list"
    model: str
    data: list[Embedding]
    usage: EmbeddingsUsage


@router.post("/v1/embeddings", response_model=Embeddings)
async def embed(
    body: EmbeddingsBody,
    http: HTTPRequest,
    engine: EngineDep,
    registry: RegistryDep,
    tasks: LookUpDep,
    call: CallDep,
) -> Response:
    """Embed inputs with the tasks that `model` names."""
    requests = body.requests(new_id("embd"), call, registry)
    names = list(dict.fromkeys(request.task for request in requests))
    for name in names:
        _check_task(name, await tasks.version(name), body.dimensions, engine.base.spec.hidden)
    outputs, tokens = await while_connected(http.receive, embedded(engine, requests))
    plain = body.encoding_format == "float"

    def shown(index: int, vector: list[float]) -> Embedding:
        value = vector if plain else packed(vector)
        embedding = Embedding(object="embedding", index=index, embedding=value)
        if isinstance(body.model, list):
            embedding.model = body.model[index]
        return embedding

    def make() -> Embeddings:
        vectors = [output.embedding for output in outputs if isinstance(output, Embedded)]
        if body.dimensions is not None:
            vectors = [_shortened(vector, body.dimensions) for vector in vectors]
        return Embeddings(
            object="list",
            model=", ".join(names),
            data=[shown(index, vector) for index, vector in enumerate(vectors)],
            usage=EmbeddingsUsage(prompt_tokens=tokens, total_tokens=tokens),
        )

    return json_response(await written(outputs, make))


def _check_task(task: str, version: Version, dimensions: int | None, usual: int) -> None:
    """Raise for a task that does not embed, or not in so many dimensions."""
    if version.type is not TaskType.EMBED:
        raise CapabilityMismatch(f"The task '{task}' does not give embeddings.", "task")
    sizes = sorted({*version.dimensions, version.width or usual})
    if dimensions is not None and dimensions not in sizes:
        known = ", ".join(map(str, sizes))
        raise InvalidRequest(f"The task '{task}' has embeddings of {known}.", "dimensions")


def _shortened(vector: list[float], size: int) -> list[float]:
    """The first values, of Euclidean length 1 again; all of them as they are."""
    if size == len(vector):
        return vector
    first = vector[:size]
    length = hypot(*first)
    return [value / length for value in first] if length else first
