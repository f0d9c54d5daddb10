"""Response drafts: items of an answer under way, and the events that tell them."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from server.api.chat_tokens import chat_tokens
from server.api.response_items import (
    CallOutput,
    ItemStatus,
    OutputItem,
    OutputMessage,
    OutputReasoning,
    OutputText,
    ReasoningOutput,
    ResponseEvent,
)
from server.engine.output import TokenLogprob


class Draft(ABC):
    """An item under way, at some place of an answer."""

    delta: ClassVar[str]
    """The event that goes on with it."""

    def __init__(self, item_id: str, index: int) -> None:
        self.id = item_id
        self._index = index
        self._parts: list[str] = []

    @property
    def text(self) -> str:
        """All of it so far."""
        return "".join(self._parts)

    @abstractmethod
    def item(self, status: ItemStatus) -> OutputItem:
        """The item as it is now; one in progress is shown without content."""

    def begin(self) -> Iterator[ResponseEvent]:
        """What tells that it is there."""
        yield ResponseEvent(
            type="response.output_item.added",
            output_index=self._index,
            item=self.item("in_progress"),
        )

    def go_on(self, text: str) -> ResponseEvent:
        """Take a stretch, and tell it."""
        self._parts.append(text)
        return self._within(self.delta, delta=text)

    @abstractmethod
    def end(self) -> Iterator[ResponseEvent]:
        """What tells that all of it was told."""

    def done(self, status: ItemStatus) -> ResponseEvent:
        """What tells the whole item."""
        return ResponseEvent(
            type="response.output_item.done", output_index=self._index, item=self.item(status)
        )

    def _within(self, kind: str, **fields: Any) -> ResponseEvent:
        return ResponseEvent(type=kind, output_index=self._index, item_id=self.id, **fields)


class PartDraft(Draft):
    """An item of one part, a text."""

    @abstractmethod
    def part(self, text: str) -> OutputText | OutputReasoning:
        """The part, if that is its text."""

    @abstractmethod
    def told(self) -> ResponseEvent:
        """What tells the whole text."""

    def begin(self) -> Iterator[ResponseEvent]:
        """What tells that it is there, and its part."""
        yield from super().begin()
        yield self._within("response.content_part.added", part=self.part(""))

    def end(self) -> Iterator[ResponseEvent]:
        """What tells the whole text, and the whole part."""
        yield self.told()
        yield self._within("response.content_part.done", part=self.part(self.text))

    def _within(self, kind: str, **fields: Any) -> ResponseEvent:
        return super()._within(kind, content_index=0, **fields)


class MessageDraft(PartDraft):
    """A message under way; its tokens' log-probabilities are empty where nobody asked for them."""

    delta = "response.output_text.delta"

    def __init__(self, item_id: str, index: int) -> None:
        super().__init__(item_id, index)
        self.tokens: list[TokenLogprob] = []

    def item(self, status: ItemStatus) -> OutputMessage:
        """The message as it is now."""
        return OutputMessage(
            id=self.id,
            type="message",
            status=status,
            role="assistant",
            content=[] if status == "in_progress" else [self.part(self.text)],
        )

    def part(self, text: str) -> OutputText:
        """The part, if that is its text."""
        logprobs = chat_tokens(self.tokens if text else ())
        return OutputText(type="output_text", text=text, annotations=[], logprobs=logprobs)

    def say(self, text: str, tokens: Iterable[TokenLogprob]) -> ResponseEvent:
        """Take a stretch with its tokens, and tell it."""
        added = tuple(tokens)
        self.tokens += added
        event = self.go_on(text)
        event.logprobs = chat_tokens(added)
        return event

    def told(self) -> ResponseEvent:
        """What tells the whole text."""
        return self._within(
            "response.output_text.done", text=self.text, logprobs=chat_tokens(self.tokens)
        )


class ReasoningDraft(PartDraft):
    """Reasoning under way."""

    delta = "response.reasoning_text.delta"

    def item(self, status: ItemStatus) -> ReasoningOutput:
        """The reasoning as it is now."""
        return ReasoningOutput(
            id=self.id,
            type="reasoning",
            status=status,
            summary=[],
            content=[] if status == "in_progress" else [self.part(self.text)],
        )

    def part(self, text: str) -> OutputReasoning:
        """The part, if that is its text."""
        return OutputReasoning(type="reasoning_text", text=text)

    def told(self) -> ResponseEvent:
        """What tells the whole text."""
        return self._within("response.reasoning_text.done", text=self.text)


class CallDraft(Draft):
    """A call under way."""

    delta = "response.function_call_arguments.delta"

    def __init__(self, item_id: str, index: int, call_id: str, name: str) -> None:
        super().__init__(item_id, index)
        self._call_id = call_id
        self._name = name

    def item(self, status: ItemStatus) -> CallOutput:
        """The call as it is now."""
        return CallOutput(
            id=self.id,
            type="function_call",
            status=status,
            call_id=self._call_id,
            name=self._name,
            arguments="" if status == "in_progress" else self.text,
        )

    def end(self) -> Iterator[ResponseEvent]:
        """What tells all arguments."""
        yield self._within("response.function_call_arguments.done", arguments=self.text)
