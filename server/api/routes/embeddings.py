"""`/v1/embeddings`: OpenAI's embeddings of texts."""

from typing import Annotated, Any, Literal, TypeAlias

from fastapi import APIRouter, Response
from fastapi import Request as HTTPRequest
from pydantic import BaseModel, Discriminator, Field, Tag

from deltas.delta import TaskType
from server.api.answers import SubmitDep
from server.api.dependencies import RegistryDep
from server.api.fields import fields
from server.api.http.body import BodyRoute, Items
from server.api.http.connection import while_connected
from server.api.http.identity import new_id
from server.api.inputs import MAX_BATCH, Prompt, inputs_of
from server.api.naming import named
from server.api.openai import ModelName
from server.api.packing import packed
from server.api.unsupported import UnsupportedEmbedding
from server.api.writing import json_response, written
from server.engine.output import Embedded
from server.engine.request import Request
from server.errors import CapabilityMismatch, InvalidRequest
from server.registry.registry import Registry

router = APIRouter(route_class=BodyRoute, tags=["openai"], dependencies=[fields(task="model")])


def _model_form(value: Any) -> str | None:
    if isinstance(value, str):
        return "(model)"
    return "(models)" if isinstance(value, list) else None


Models: TypeAlias = Annotated[Items[ModelName], Field(min_length=1, max_length=MAX_BATCH)]
OneOrMore: TypeAlias = Annotated[
    Annotated[ModelName, Tag("(model)")] | Annotated[Models, Tag("(models)")],
    Discriminator(
        _model_form,
        custom_error_type="model_form",
        custom_error_message="Input should be a task's name, or a list of one for each input",
    ),
]


class EmbeddingsBody(UnsupportedEmbedding):
    """Texts or token ids to embed with the task that `model` names, or each with one of a list.

    A list has a name for each input; no name is needed where only one task embeds.
    """

    model: OneOrMore | None = None
    input: Prompt
    encoding_format: Literal["float", "base64"] = "float"

    def requests(self, name: str, registry: Registry) -> list[Request]:
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
        return [
            Request(f"{name}-{i}", task, each, generate=False)
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
    body: EmbeddingsBody, http: HTTPRequest, registry: RegistryDep, submit: SubmitDep
) -> Response:
    """Embed inputs with the tasks that `model` names."""
    answers = await submit(body.requests(new_id("embd"), registry))
    for each in answers.items:
        if each.version.type is not TaskType.EMBED:
            raise CapabilityMismatch(f"The task '{each.task}' does not give embeddings.", "task")
    outputs = await while_connected(http.receive, answers.outputs())
    vectors = [output.embedding for output in outputs if isinstance(output, Embedded)]
    plain = body.encoding_format == "float"
    tokens = answers.usage.prompt_tokens

    def shown(index: int, vector: list[float]) -> Embedding:
        value = vector if plain else packed(vector)
        embedding = Embedding(object="embedding", index=index, embedding=value)
        if isinstance(body.model, list):
            embedding.model = body.model[index]
        return embedding

    def make() -> Embeddings:
        return Embeddings(
            object="list",
            model=", ".join(dict.fromkeys(each.task for each in answers.items)),
            data=[shown(index, vector) for index, vector in enumerate(vectors)],
            usage=EmbeddingsUsage(prompt_tokens=tokens, total_tokens=tokens),
        )

    return json_response(await written(outputs, make))
