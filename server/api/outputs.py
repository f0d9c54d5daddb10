"""Outputs: the engine's answers as the native routes show them."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, TypeAlias

from pydantic import BaseModel

from server.api.tools import CallBody
from server.engine.output import (
    Classified,
    Embedded,
    FinishReason,
    Generated,
    Output,
    ScoredToken,
    Tagged,
    TokenLogprob,
    Usage,
)

LOWEST_LOGPROB = -9999.0
"""Stands for minus infinity, which JSON cannot hold; OpenAI's value."""


class PromptDetails(BaseModel):
    """How many of the tokens read were computed for earlier requests."""

    cached_tokens: int


class UsageBody(BaseModel):
    """Tokens read and written; the details are absent where nothing was computed before."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails | None = None

    @classmethod
    def of(cls, usage: Usage) -> "UsageBody":
        """Show the engine's count."""
        body = cls(
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            total_tokens=usage.total_tokens,
        )
        if usage.cached_tokens:
            body.prompt_tokens_details = PromptDetails(cached_tokens=usage.cached_tokens)
        return body


class Alternative(BaseModel):
    """A token and its log-probability."""

    id: int
    token: str
    logprob: float


class ChosenToken(Alternative):
    """A generated token and the likeliest ones in its place."""

    top: list[Alternative]


class Text(BaseModel):
    """A generated text, with what was reasoned before it and the calls that it makes.

    A text that beams have found has its `score`, by which they are in order: its log-probability
    over its length to the power of the length penalty.
    """

    text: str
    finish_reason: FinishReason
    logprobs: Iterable[ChosenToken] | None = None
    reasoning: str | None = None
    tool_calls: list[CallBody] | None = None
    score: float | None = None


OutputBody: TypeAlias = Text | Classified | Tagged | Embedded


def output_body(output: Output, top: int | None) -> OutputBody:
    """Show an output, with the `top` likeliest labels alone where it has labels."""
    if isinstance(output, Generated):
        text = Text(text=output.text, finish_reason=output.finish_reason)
        if output.reasoning:
            text.reasoning = output.reasoning
        if output.calls:
            text.tool_calls = [CallBody.of(call) for call in output.calls]
        if output.logprobs is not None:
            text.logprobs = chosen_tokens(output.logprobs)
        if output.score is not None:
            text.score = output.score
        return text
    if isinstance(output, Classified) and top is not None:
        return Classified(output.label, output.score, dict(islice(output.scores.items(), top)))
    return output


def chosen_tokens(tokens: Iterable[TokenLogprob]) -> Iterator[ChosenToken]:
    """Show tokens with their log-probabilities, one after the other."""
    return (
        ChosenToken(
            **_alternative(token),
            top=[Alternative(**_alternative(each)) for each in token.top],
        )
        for token in tokens
    )


def _alternative(token: ScoredToken) -> dict[str, Any]:
    return {"id": token.id, "token": token.text, "logprob": finite(token.logprob)}


def finite(logprob: float) -> float:
    """Make a log-probability fit for JSON."""
    return max(logprob, LOWEST_LOGPROB)
