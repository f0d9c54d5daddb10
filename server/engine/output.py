"""Outputs: what the engine gives back."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Literal, TypeAlias

from server.engine.message import ToolCall

FinishReason: TypeAlias = Literal["stop", "length", "tool_calls"]
"""Why a text ended; an answer that ends by itself after it has called tools says that."""


@dataclass(frozen=True, slots=True)
class ScoredToken:
    r"""A token's log-probability; as text, one that is no whole characters is `bytes:\xf0\x9f`."""

    id: int
    text: str
    bytes: bytes
    logprob: float


@dataclass(frozen=True, slots=True)
class TokenLogprob(ScoredToken):
    """A chosen token under the unmodified distribution, and the likeliest ones in its place.

    `offset` is the index, in the choice's text, of the character that the token belongs to.
    """

    offset: int
    top: tuple[ScoredToken, ...] = ()


@dataclass(frozen=True, slots=True)
class CallPiece:
    """A stretch of the arguments of an answer's call `index`, of which the first has the name."""

    index: int
    arguments: str
    id: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of generated text of choice `index`; the last one has a finish reason.

    What the answer reasons before it and the tools that it calls are no part of the text. `tokens`
    are those written since the last piece, the token that ends the text among them. The last piece
    of a text that beams have found has its `score`.
    """

    index: int
    text: str
    finish_reason: FinishReason | None = None
    logprobs: tuple[TokenLogprob, ...] = ()
    reasoning: str = ""
    calls: tuple[CallPiece, ...] = ()
    tokens: tuple[int, ...] = ()
    score: float | None = None

    @property
    def says_something(self) -> bool:
        """Whether a reader misses anything without it."""
        return bool(self.text or self.reasoning or self.calls or self.finish_reason)


@dataclass(frozen=True, slots=True)
class Generated:
    """A whole generated text; `tokens` are all that were written for it, `score` that of beams."""

    text: str
    finish_reason: FinishReason
    logprobs: tuple[TokenLogprob, ...] | None = None
    reasoning: str = ""
    calls: tuple[ToolCall, ...] = ()
    tokens: tuple[int, ...] = ()
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Classified:
    """The label of the greatest score, and each label's score, the greatest first."""

    label: str
    score: float
    scores: dict[str, float]


@dataclass(frozen=True, slots=True)
class Entity:
    """A labelled stretch [start, end) of the input's characters."""

    label: str
    start: int
    end: int
    text: str
    score: float


@dataclass(frozen=True, slots=True)
class Tagged:
    """The entities found in a text, in order."""

    entities: tuple[Entity, ...]


@dataclass(frozen=True, slots=True)
class Embedded:
    """A text's embedding."""

    embedding: list[float]


Output: TypeAlias = Generated | Classified | Tagged | Embedded


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens read and written; `cached_tokens` of those read were computed before."""

    prompt_tokens: int
    completion_tokens: int = 0
    cached_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Both together."""
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cached_tokens + other.cached_tokens,
        )


def generated_of(pieces: Sequence[Piece], *, logprobs: bool) -> Generated:
    """The whole text of which these are all pieces, with its log-probabilities if they are wanted.

    A text without a piece that ends it has stopped.
    """
    shown = tuple(chain.from_iterable(piece.logprobs for piece in pieces))
    calls = joined(call for piece in pieces for call in piece.calls)
    return Generated(
        "".join(piece.text for piece in pieces),
        pieces[-1].finish_reason or "stop",
        logprobs=shown if logprobs else None,
        tokens=tuple(chain.from_iterable(piece.tokens for piece in pieces)),
        reasoning="".join(piece.reasoning for piece in pieces),
        calls=tuple(ToolCall(call.id, call.name, call.arguments) for call in calls),
        score=pieces[-1].score,
    )


def joined(calls: Iterable[CallPiece]) -> tuple[CallPiece, ...]:
    """One piece of each call, with all that the pieces say of it."""
    found: dict[int, CallPiece] = {}
    for each in calls:
        said = found.setdefault(each.index, replace(each, arguments=""))
        found[each.index] = replace(said, arguments=said.arguments + each.arguments)
    return tuple(found.values())
