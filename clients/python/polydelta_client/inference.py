"""What a task answers to one request."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from ._result import Answer
from ._schema import Schema, parsed
from .outputs import Classification, Embedding, Entity, Generation, Output, Tagging, Usage
from .tool_calls import ToolCall

T = TypeVar("T")
_O = TypeVar("_O", Generation, Classification, Tagging, Embedding)


@dataclass(frozen=True, repr=False)
class Inference(Answer):
    """The answer to one request: one output per input, in order.

    The shortcuts (`label`, `text`, …) read the only output. They raise ValueError when there are
    several, and AttributeError when the task gives another type of output.
    """

    id: str
    task: str
    version: str
    kind: str
    outputs: list[Output]
    usage: Usage

    @property
    def text(self) -> str:
        """The generated text."""
        return self._only(Generation).text

    @property
    def finish_reason(self) -> str:
        """Why generation ended: "stop", "length" or "tool_calls"."""
        return self._only(Generation).finish_reason

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The calls of tools that the answer makes."""
        return self._only(Generation).tool_calls or []

    @property
    def label(self) -> str:
        """The label of the greatest score."""
        return self._only(Classification).label

    @property
    def score(self) -> float:
        """The score of `label`."""
        return self._only(Classification).score

    @property
    def scores(self) -> dict[str, float]:
        """The score of each label."""
        return self._only(Classification).scores

    @property
    def entities(self) -> list[Entity]:
        """The labelled spans of the input."""
        return self._only(Tagging).entities

    @property
    def embedding(self) -> list[float]:
        """The vector of the input."""
        return self._only(Embedding).embedding

    def _rows(self) -> Sequence[tuple[str, object]]:
        source = f"{self.task} ({self.kind}, {self.version})"
        return [("task", source), *(row for output in self.outputs for row in output._rows())]

    def _only(self, wanted: type[_O]) -> _O:
        if len(self.outputs) != 1:
            raise ValueError(f"there are {len(self.outputs)} outputs: read them from .outputs")
        output = self.outputs[0]
        if isinstance(output, wanted):
            return output
        found = type(output).__name__
        raise AttributeError(f"task {self.task!r} gave a {found}, not a {wanted.__name__}")


@dataclass(frozen=True, repr=False)
class ParsedInference(Inference, Generic[T]):
    """The answer to a request with a `schema`: its texts are JSON, which is read here.

    Reading raises ValueError where a text is no such JSON: pydantic's own, or one that says that
    the text ended before its JSON did.
    """

    schema: Schema[T] = field(default_factory=dict[str, Any], compare=False, kw_only=True)

    @property
    def parsed(self) -> T:
        """The only output, as the schema has it."""
        return self._read(self._only(Generation))

    @property
    def all_parsed(self) -> list[T]:
        """Each output, as the schema has it."""
        return [self._read(output) for output in self.outputs if isinstance(output, Generation)]

    def _read(self, output: Generation) -> T:
        try:
            return parsed(self.schema, output.text)
        except ValueError as error:
            if output.finish_reason != "length":
                raise
            message = "the text ended before its JSON did: give it more max_tokens"
            raise ValueError(message) from error
