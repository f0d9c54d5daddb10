"""Response items: what an answer holds, as OpenAI's responses and their events show it."""

from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel

from server.api.chat_tokens import ChatToken

ItemStatus: TypeAlias = Literal["in_progress", "completed", "incomplete"]


class OutputText(BaseModel):
    """A message's text."""

    type: Literal["output_text"]
    text: str
    annotations: list[Any]
    logprobs: Iterable[ChatToken]


class OutputReasoning(BaseModel):
    """What was thought before the answer."""

    type: Literal["reasoning_text"]
    text: str


class OutputMessage(BaseModel):
    """A message of the assistant."""

    id: str
    type: Literal["message"]
    status: ItemStatus
    role: Literal["assistant"]
    content: list[OutputText]


class ReasoningOutput(BaseModel):
    """The assistant's thoughts, none of which are summed up."""

    id: str
    type: Literal["reasoning"]
    status: ItemStatus
    summary: list[Any]
    content: list[OutputReasoning]


class CallOutput(BaseModel):
    """A call of a function; its arguments are an object as JSON text."""

    id: str
    type: Literal["function_call"]
    status: ItemStatus
    call_id: str
    name: str
    arguments: str


OutputItem: TypeAlias = OutputMessage | ReasoningOutput | CallOutput


class ResponseEvent(BaseModel):
    """An event of a stream of OpenAI's responses; which fields it has depends on its type."""

    type: str
    sequence_number: int = 0
    output_index: int | None = None
    item_id: str | None = None
    content_index: int | None = None
    item: OutputItem | None = None
    part: OutputText | OutputReasoning | None = None
    delta: str | None = None
    text: str | None = None
    arguments: str | None = None
    logprobs: Iterable[ChatToken] | None = None
