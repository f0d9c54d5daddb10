"""What a task gives for one input, by its type, and text as it comes."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ._result import Result, short
from .tool_calls import ToolCall, ToolCallPiece

_LABELS = 10  # shown in a notebook


@dataclass(frozen=True, repr=False)
class Usage(Result):
    """Tokens counted for one request."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


@dataclass(frozen=True, repr=False)
class Alternative(Result):
    """A token that could stand at a place, with the natural logarithm of its probability."""

    id: int
    token: str
    logprob: float


@dataclass(frozen=True, repr=False)
class ChosenToken(Alternative):
    """A token that was generated; `top` are the likeliest at its place, as many as asked for."""

    top: list[Alternative]


@dataclass(frozen=True, repr=False)
class Generation(Result):
    """The output of a generating task; `finish_reason` is "stop", "length" or "tool_calls".

    A chat's answer may have called tools, and may have reasoned before its text. A text that beams
    have found has its `score`.
    """

    text: str
    finish_reason: str
    logprobs: list[ChosenToken] | None = None
    reasoning: str | None = None
    tool_calls: list[ToolCall] | None = None
    score: float | None = None

    @property
    def token_ids(self) -> list[int] | None:
        """The ids of its tokens, where `logprobs` were asked for; 0 of them will do."""
        return None if self.logprobs is None else [token.id for token in self.logprobs]


@dataclass(frozen=True, repr=False)
class Classification(Result):
    """The output of a classifying task: the label of the greatest score, and every label's.

    Scores are probabilities, but where the task was trained for regression or `function_to_apply`
    asked for others.
    """

    label: str
    score: float
    scores: dict[str, float]

    def _rows(self) -> Sequence[tuple[str, object]]:
        return sorted(self.scores.items(), key=lambda entry: -entry[1])[:_LABELS]


@dataclass(frozen=True, repr=False)
class Entity(Result):
    """A labelled span of the input, in characters: `input[start:end] == text`."""

    label: str
    start: int
    end: int
    text: str
    score: float


@dataclass(frozen=True, repr=False)
class Tagging(Result):
    """The output of a tagging task."""

    entities: list[Entity]

    def _rows(self) -> Sequence[tuple[str, object]]:
        return [(entity.label, f"{entity.text}  {short(entity.score)}") for entity in self.entities]


@dataclass(frozen=True, repr=False)
class Embedding(Result):
    """The output of an embedding task."""

    embedding: list[float]


@dataclass(frozen=True, repr=False)
class Piece(Result):
    """A stretch of generated text; `index` tells the generations of one request (`n`) apart."""

    text: str
    index: int = 0
    finish_reason: str | None = None
    logprobs: list[ChosenToken] | None = None
    reasoning: str = ""
    tool_calls: list[ToolCallPiece] = field(default_factory=list[ToolCallPiece])
    score: float | None = None


Output = Generation | Classification | Tagging | Embedding
