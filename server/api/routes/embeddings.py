"""`/v1/embeddings`: OpenAI's embeddings of texts."""

import base64
import struct
from typing import Literal

from fastapi import APIRouter, Response
from fastapi import Request as HTTPRequest
from pydantic import BaseModel

from deltas.delta import TaskType
from server.api.answers import SubmitDep
from server.api.fields import fields
from server.api.http.body import BodyRoute
from server.api.http.connection import while_connected
from server.api.http.identity import new_id
from server.api.inputs import Prompt, inputs_of
from server.api.openai import ModelName
from server.api.unsupported import UnsupportedEmbedding
from server.api.writing import json_response, written
from server.engine.output import Embedded
from server.engine.request import Request
from server.errors import CapabilityMismatch

router = APIRouter(route_class=BodyRoute, tags=["openai"], dependencies=[fields(task="model")])


class EmbeddingsBody(UnsupportedEmbedding):
    """Texts or token ids to embed with the task that `model` names."""

    model: ModelName
    input: Prompt
    encoding_format: Literal["float", "base64"] = "float"


class Embedding(BaseModel):
    """One input's embedding; base64 holds little-endian 32-bit floats."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


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
async def embed(body: EmbeddingsBody, http: HTTPRequest, submit: SubmitDep) -> Response:
    """Embed inputs with the task that `model` names."""
    name = new_id("embd")
    inputs = inputs_of(body.input)
    answers = await submit(
        [Request(f"{name}-{i}", body.model, each, generate=False) for i, each in enumerate(inputs)]
    )
    if answers.version.type is not TaskType.EMBED:
        raise CapabilityMismatch(f"The task '{body.model}' does not give embeddings.", "task")
    outputs = await while_connected(http.receive, answers.outputs())
    vectors = [output.embedding for output in outputs if isinstance(output, Embedded)]
    plain = body.encoding_format == "float"
    tokens = answers.usage.prompt_tokens

    def make() -> Embeddings:
        return Embeddings(
            object="list",
            model=body.model,
            data=[
                Embedding(
                    object="embedding", index=index, embedding=vector if plain else _packed(vector)
                )
                for index, vector in enumerate(vectors)
            ],
            usage=EmbeddingsUsage(prompt_tokens=tokens, total_tokens=tokens),
        )

    return json_response(await written(outputs, make))


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
