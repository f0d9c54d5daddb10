"""What OpenAI's generation routes have in common."""

import time
from typing import Any, Self

from fastapi import Depends, Request
from pydantic import BaseModel, model_validator
from pydantic_core import PydanticCustomError

from deltas.delta import TaskType
from server.api.caller import UserFields
from server.api.dependencies import RegistryDep
from server.api.grammars import GrammarFields
from server.api.http.body import Body, value_of
from server.api.inputs import CacheSalt
from server.api.naming import ModelName, named
from server.api.outputs import UsageBody
from server.api.prompting import PromptFields, TruncationFields
from server.api.sampling import SamplingFields
from server.engine.output import Usage


class StreamOptions(Body):
    """Whether a stream ends with a chunk that counts tokens."""

    include_usage: bool = False


class GenerationBody(TruncationFields, SamplingFields, GrammarFields, UserFields):
    """What all generation routes take; `model` names the task.

    It may be left out where only one task generates, or the base alone.
    """

    model: ModelName = ""
    stream: bool = False
    cache_salt: CacheSalt | None = None


class CompletingBody(PromptFields, GenerationBody):
    """What both routes of completions take."""

    stream_options: StreamOptions = StreamOptions()

    @model_validator(mode="after")
    def _check_streamed(self) -> Self:
        if self.stream and self.prompt_logprobs is not None:
            raise PydanticCustomError("streamed", "prompt_logprobs are not streamed")
        return self


async def _name_model(http: Request, registry: RegistryDep) -> None:
    body = value_of(http)
    if isinstance(body, GenerationBody) and not body.model:
        body.model = named(registry, None, TaskType.GENERATE)


NAMED: Any = Depends(_name_model)
"""A router's dependency: a body that names no model gets the only one that can be meant."""


class Head(BaseModel):
    """What every answer and every chunk begins with."""

    id: str
    object: str
    created: int
    model: str


class UsageChunk(Head):
    """The last chunk of a stream whose reader asked for it."""

    choices: list[Any]
    usage: UsageBody


def head(name: str, kind: str, model: str) -> dict[str, Any]:
    """The fields of a Head, the same in all chunks of a stream."""
    return {"id": name, "object": kind, "created": int(time.time()), "model": model}


def usage_chunk(fields: dict[str, Any], usage: Usage) -> UsageChunk:
    """Count a stream's tokens after its text."""
    return UsageChunk(**fields, choices=[], usage=UsageBody.of(usage))
