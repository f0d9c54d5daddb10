"""Messages: the turns of a chat as clients send them, OpenAI's older forms of calls among them."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from server.api.http.body import Body, Items
from server.api.unsupported import Nothing
from server.engine.message import Message, Role, ToolCall

MAX_CHARACTERS = 1 << 19
MAX_MESSAGES = 1024
MAX_CALLS = 128
MAX_ARGUMENTS = 1 << 16
"""Characters of JSON within a text, which no count of a body's values sees."""

_MEDIA = ("image", "audio", "video", "file")
_TEXT_ALONE = "Only text is read here: say in a part of text what pictures, sounds or files hold"

Text: TypeAlias = Annotated[str, Field(max_length=MAX_CHARACTERS)]
Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=256)]


_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
"""What chat templates call the roles that clients name."""


def _no_media(kind: Any) -> Any:
    if isinstance(kind, str) and any(each in kind for each in _MEDIA):
        raise PydanticCustomError("media", _TEXT_ALONE)
    return kind


NoMedia = BeforeValidator(_no_media)
"""Says why parts of other types than text are refused, where these are what others know."""


class TextPart(Body):
    """A part of a message; text is the only type there is."""

    type: Annotated[Literal["text"], NoMedia]
    text: Text


def text_or_parts(value: Any) -> str | None:
    """Which of the two a client sends, as a tag."""
    if isinstance(value, str):
        return "(text)"
    return "(parts)" if isinstance(value, list) else None


Content: TypeAlias = Annotated[
    Annotated[Text, Tag("(text)")]
    | Annotated[Items[TextPart], Field(max_length=MAX_MESSAGES), Tag("(parts)")],
    Discriminator(
        text_or_parts,
        custom_error_type="content_form",
        custom_error_message="Input should be a text or a list of text parts",
    ),
]


def _object_text(text: str) -> str:
    """What a model wrote for no arguments may be no text at all."""
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise PydanticCustomError("arguments", "Input should be the text of a JSON object")
    return text or "{}"


class CalledFunction(Body):
    """What a call names, and its arguments as the text of a JSON object."""

    name: Name
    arguments: Annotated[str, Field(max_length=MAX_ARGUMENTS), AfterValidator(_object_text)]


class MessageCall(Body):
    """A tool call that an assistant's message made."""

    id: Name
    type: Literal["function"] = "function"
    function: CalledFunction

    def call(self) -> ToolCall:
        """The call as the engine takes it."""
        return ToolCall(self.id, self.function.name, self.function.arguments)


class ChatMessage(Body):
    """One turn of a chat.

    `function_call` and the role `function` are what calls and their results were before there were
    tools.
    """

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Content = ""
    name: Name | None = None
    tool_calls: Annotated[Items[MessageCall], Field(max_length=MAX_CALLS)] = Field(
        default_factory=list[MessageCall]
    )
    tool_call_id: Name | None = None
    function_call: CalledFunction | None = None
    reasoning_content: Text = ""
    audio: Nothing = None

    @model_validator(mode="after")
    def _check_role(self) -> Self:
        if self.role != "assistant" and (self.tool_calls or self.function_call):
            raise PydanticCustomError("calls", "Only messages of an assistant make calls")
        if self.role == "tool" and self.tool_call_id is None:
            raise PydanticCustomError("call", "A tool's message needs a tool_call_id")
        if self.role == "function" and self.name is None:
            raise PydanticCustomError("name", "A function's message needs the function's name")
        return self

    def message(self) -> Message:
        """The message as the engine takes it."""
        content = self.content
        calls = [each.call() for each in self.tool_calls]
        if self.function_call is not None:
            called = self.function_call
            calls.append(ToolCall(called.name, called.name, called.arguments))
        function = self.name if self.role == "function" else None
        return Message(
            _ROLES[self.role],
            content if isinstance(content, str) else "".join(part.text for part in content),
            reasoning=self.reasoning_content,
            tool_calls=tuple(calls),
            tool_call_id=self.tool_call_id or function or "",
            name=self.name or "",
        )


Messages: TypeAlias = Annotated[Items[ChatMessage], Field(min_length=1, max_length=MAX_MESSAGES)]


def messages_of(sent: Sequence[ChatMessage]) -> tuple[Message, ...]:
    """The turns as the engine takes them."""
    return with_names(each.message() for each in sent)


def with_names(messages: Iterable[Message]) -> tuple[Message, ...]:
    """Turns of which a tool's that lacks the tool's name gets that of the call."""
    found: list[Message] = []
    names: dict[str, str] = {}
    for message in messages:
        names |= {call.id: call.name for call in message.tool_calls}
        if message.role == "tool" and not message.name:
            message = replace(message, name=names.get(message.tool_call_id, ""))
        found.append(message)
    return tuple(found)
