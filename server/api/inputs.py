"""Inputs: the forms in which text reaches the server, with their bounds."""

from typing import Annotated, Any, Literal, TypeAlias, cast

from pydantic import Discriminator, Field, Tag

from server.api.http.body import Body, Items
from server.engine.request import Input, Message

MAX_CHARACTERS = 1 << 19
MAX_TOKENS = 1 << 20
MAX_BATCH = 256
MAX_MESSAGES = 1024

Text: TypeAlias = Annotated[str, Field(max_length=MAX_CHARACTERS)]
Texts: TypeAlias = Annotated[Items[Text], Field(min_length=1, max_length=MAX_BATCH)]
TokenId: TypeAlias = Annotated[int, Field(ge=0, lt=1 << 31)]
TokenIds: TypeAlias = Annotated[Items[TokenId], Field(min_length=1, max_length=MAX_TOKENS)]
TokenLists: TypeAlias = Annotated[Items[TokenIds], Field(min_length=1, max_length=MAX_BATCH)]
CacheSalt: TypeAlias = Annotated[str, Field(min_length=1, max_length=128)]
"""Requests reuse what others computed only under the same salt; vLLM's name and meaning."""


class TextPart(Body):
    """A part of a message; text is the only type there is."""

    type: Literal["text"]
    text: Text


def _content_form(value: Any) -> str | None:
    if isinstance(value, str):
        return "(text)"
    return "(parts)" if isinstance(value, list) else None


Content: TypeAlias = Annotated[
    Annotated[Text, Tag("(text)")]
    | Annotated[Items[TextPart], Field(max_length=MAX_MESSAGES), Tag("(parts)")],
    Discriminator(
        _content_form,
        custom_error_type="content_form",
        custom_error_message="Input should be a text or a list of text parts",
    ),
]


class ChatMessage(Body):
    """One turn of a chat."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Content = ""

    def message(self) -> Message:
        """The message as the engine takes it; `developer` is the newer name of `system`."""
        role = "system" if self.role == "developer" else self.role
        content = self.content
        text = content if isinstance(content, str) else "".join(part.text for part in content)
        return {"role": role, "content": text}


Messages: TypeAlias = Annotated[Items[ChatMessage], Field(min_length=1, max_length=MAX_MESSAGES)]


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
        messages = cast("list[ChatMessage]", value)
        return [tuple(message.message() for message in messages)]
    if isinstance(value[0], int):
        return [tuple(cast("list[int]", value))]
    items = cast("list[str] | list[list[int]]", value)
    return [item if isinstance(item, str) else tuple(item) for item in items]
