"""Inputs: the forms in which text reaches the server, with their bounds."""

from typing import Annotated, Any, TypeAlias, cast

from pydantic import Discriminator, Field, Tag

from server.api.http.body import Items
from server.api.messages import ChatMessage, Messages, Text, messages_of
from server.engine.request import Input

MAX_TOKENS = 1 << 20
MAX_BATCH = 256

Texts: TypeAlias = Annotated[Items[Text], Field(min_length=1, max_length=MAX_BATCH)]
TokenId: TypeAlias = Annotated[int, Field(ge=0, lt=1 << 31)]
TokenIds: TypeAlias = Annotated[Items[TokenId], Field(min_length=1, max_length=MAX_TOKENS)]
TokenLists: TypeAlias = Annotated[Items[TokenIds], Field(min_length=1, max_length=MAX_BATCH)]
CacheSalt: TypeAlias = Annotated[str, Field(min_length=1, max_length=128)]
"""Requests reuse what others computed only under the same salt; vLLM's name and meaning."""


def _form(value: Any) -> str | None:
    if isinstance(value, str):
        return "(text)"
    if not isinstance(value, list):
        return None
    items = cast("list[Any]", value)
    if not items or isinstance(items[0], str):
        return "(texts)"
    if isinstance(items[0], dict | ChatMessage):
        return "(messages)"
    return "(token lists)" if isinstance(items[0], list) else "(tokens)"


TaskInput: TypeAlias = Annotated[
    Annotated[Text, Tag("(text)")]
    | Annotated[Texts, Tag("(texts)")]
    | Annotated[Messages, Tag("(messages)")],
    Discriminator(
        _form,
        custom_error_type="input_form",
        custom_error_message="Input should be a text, a list of texts or a list of chat messages",
    ),
]

Prompt: TypeAlias = Annotated[
    Annotated[Text, Tag("(text)")]
    | Annotated[Texts, Tag("(texts)")]
    | Annotated[TokenIds, Tag("(tokens)")]
    | Annotated[TokenLists, Tag("(token lists)")],
    Discriminator(
        _form,
        custom_error_type="prompt_form",
        custom_error_message="Input should be a text, a list of texts, token ids or lists of them",
    ),
]


def inputs_of(value: TaskInput | Prompt) -> list[Input]:
    """Split a request's input into those that the engine answers one by one."""
    if isinstance(value, str):
        return [value]
    if isinstance(value[0], ChatMessage):
        return [messages_of(cast("list[ChatMessage]", value))]
    if isinstance(value[0], int):
        return [tuple(cast("list[int]", value))]
    items = cast("list[str] | list[list[int]]", value)
    return [item if isinstance(item, str) else tuple(item) for item in items]
