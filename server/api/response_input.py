"""Response input: OpenAI's items of a response's input, as the turns of a chat."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal, TypeAlias, cast

from pydantic import Discriminator, Field, Tag

from server.api.http.body import Body, Items
from server.api.messages import (
    MAX_MESSAGES,
    CalledFunction,
    Name,
    NoMedia,
    Text,
    text_or_parts,
    with_names,
)
from server.api.unsupported import Only
from server.engine.message import Message, ToolCall

_NOT_READ = "Only reasoning that is text can be read here; leave this out"


class ResponseText(Body):
    """A part of a message; text is the only type there is."""

    type: Annotated[Literal["input_text", "output_text"], NoMedia]
    text: Text


ResponseContent: TypeAlias = Annotated[
    Annotated[Text, Tag("(text)")]
    | Annotated[Items[ResponseText], Field(max_length=MAX_MESSAGES), Tag("(parts)")],
    Discriminator(
        text_or_parts,
        custom_error_type="content_form",
        custom_error_message="Input should be a text or a list of input_text and output_text parts",
    ),
]


class MessageItem(Body):
    """A turn of a user, an assistant or whoever instructs it."""

    type: Literal["message"] = "message"
    role: Literal["user", "assistant", "system", "developer"]
    content: ResponseContent

    def message(self) -> Message:
        """The turn as the engine takes it."""
        role = "system" if self.role == "developer" else self.role
        return Message(role, _text(self.content))


class CallItem(CalledFunction):
    """A call that an assistant made."""

    type: Literal["function_call"]
    call_id: Name

    def message(self) -> Message:
        """The call as a turn that holds nothing else."""
        call = ToolCall(self.call_id, self.name, self.arguments)
        return Message("assistant", "", tool_calls=(call,))


class CallOutputItem(Body):
    """What came of a call."""

    type: Literal["function_call_output"]
    call_id: Name
    output: ResponseContent

    def message(self) -> Message:
        """The result as the engine takes it."""
        return Message("tool", _text(self.output), tool_call_id=self.call_id)


class ReasoningText(Body):
    """What an assistant thought, or what it comes to."""

    type: Literal["reasoning_text", "summary_text"]
    text: Text


class ReasoningItem(Body):
    """What an assistant thought before it went on; of a mere summary, that."""

    type: Literal["reasoning"]
    content: Annotated[Items[ReasoningText], Field(max_length=MAX_MESSAGES)] = Field(
        default_factory=list[ReasoningText]
    )
    summary: Annotated[Items[ReasoningText], Field(max_length=MAX_MESSAGES)] = Field(
        default_factory=list[ReasoningText]
    )
    encrypted_content: Annotated[Any, Only("", reason=_NOT_READ)] = None

    def message(self) -> Message:
        """The reasoning as a turn that holds nothing else."""
        texts = self.content or self.summary
        return Message("assistant", "", reasoning="".join(each.text for each in texts))


_ITEMS = ("message", "function_call", "function_call_output", "reasoning")


def _item_form(value: Any) -> str | None:
    if isinstance(value, dict):
        # A message may leave out that it is one.
        form = cast("dict[str, Any]", value).get("type", "message")
    else:
        form = getattr(value, "type", None)
    return f"({form})" if form in _ITEMS else None


Item: TypeAlias = Annotated[
    Annotated[MessageItem, Tag("(message)")]
    | Annotated[CallItem, Tag("(function_call)")]
    | Annotated[CallOutputItem, Tag("(function_call_output)")]
    | Annotated[ReasoningItem, Tag("(reasoning)")],
    Discriminator(
        _item_form,
        custom_error_type="item_form",
        custom_error_message=f"Only items of these types can be read here: {', '.join(_ITEMS)}",
    ),
]
ResponseInput: TypeAlias = Annotated[
    Annotated[Text, Tag("(text)")]
    | Annotated[Items[Item], Field(min_length=1, max_length=MAX_MESSAGES), Tag("(parts)")],
    Discriminator(
        text_or_parts,
        custom_error_type="input_form",
        custom_error_message="Input should be a text or a list of items",
    ),
]


def turns_of(instructions: str, given: ResponseInput) -> tuple[Message, ...]:
    """The turns of a chat that some instructions begin.

    What an assistant thought, said and called, in this order, is one turn of it.
    """
    items = [MessageItem(role="user", content=given)] if isinstance(given, str) else given
    turns = [Message("system", instructions)] if instructions else []
    for item in items:
        message = item.message()
        if turns and _goes_on(turns[-1], message):
            message = _joined(turns.pop(), message)
        turns.append(message)
    return with_names(turns)


def _goes_on(before: Message, after: Message) -> bool:
    """Whether a stretch of an assistant's turn can follow another in the same turn."""
    if (before.role, after.role) != ("assistant", "assistant"):
        return False
    if after.tool_calls:
        return True
    return not before.tool_calls and not before.content and not after.reasoning


def _joined(before: Message, after: Message) -> Message:
    return replace(
        before,
        content=before.content + after.content,
        tool_calls=before.tool_calls + after.tool_calls,
    )


def _text(content: str | Sequence[ResponseText]) -> str:
    return content if isinstance(content, str) else "".join(part.text for part in content)
