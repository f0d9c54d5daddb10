"""Inputs: the forms in which text reaches the server, with their bounds."""

from typing import Annotated, Any, TypeAlias, TypeVar, cast

from pydantic import Discriminator, Field, Tag

from server.api.http.body import Items
from server.api.messages import ChatMessage, Messages, Text, messages_of
from server.engine.request import Input

T = TypeVar("T")

MAX_TOKENS = 1 << 20
MAX_BATCH = 256
"""Sequences that the engine is asked for at once."""
MAX_EMBEDDINGS = 2048
"""Inputs of one request for embeddings, as OpenAI takes them."""

_Batch: TypeAlias = Annotated[Items[T], Field(min_length=1, max_length=MAX_BATCH)]
_Collection: TypeAlias = Annotated[Items[T], Field(min_length=1, max_length=MAX_EMBEDDINGS)]
Texts: TypeAlias = _Batch[Text]
TokenId: TypeAlias = Annotated[int, Field(ge=0, lt=1 << 31)]
TokenIds: TypeAlias = Annotated[Items[TokenId], Field(min_length=1, max_length=MAX_TOKENS)]
TokenLists: TypeAlias = _Batch[TokenIds]
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

_PROMPT_FORM = Discriminator(
    _form,
    custom_error_type="prompt_form",
    custom_error_message="Input should be a text, a list of texts, token ids or lists of them",
)

Prompt: TypeAlias = Annotated[
    Annotated[Text, Tag("(text)")]
    | Annotated[Texts, Tag("(texts)")]
    | Annotated[TokenIds, Tag("(tokens)")]
    | Annotated[TokenLists, Tag("(token lists)")],
    _PROMPT_FORM,
]

Collection: TypeAlias = Annotated[
    Annotated[Text, Tag("(text)")]
    | Annotated[_Collection[Text], Tag("(texts)")]
    | Annotated[TokenIds, Tag("(tokens)")]
    | Annotated[_Collection[TokenIds], Tag("(token lists)")],
    _PROMPT_FORM,
]


def inputs_of(value: TaskInput | Prompt | Collection) -> list[Input]:
    """Split a request's input into those that the engine answers one by one."""
    if isinstance(value, str):
        return [value]
    if isinstance(value[0], ChatMessage):
        return [messages_of(cast("list[ChatMessage]", value))]
    if isinstance(value[0], int):
        return [tuple(cast("list[int]", value))]
    items = cast("list[str] | list[list[int]]", value)
    return [item if isinstance(item, str) else tuple(item) for item in items]
