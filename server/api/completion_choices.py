"""Completion choices: continuations as OpenAI's older route shows them, with vLLM's additions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel

from server.api.outputs import finite
from server.api.prompting import PromptLogprobs, prompt_logprobs
from server.engine.output import FinishReason, Generated, Piece, TokenLogprob
from server.engine.shown_prompt import ShownPrompt

_ECHOED_AT_ONCE = 128
"""Tokens of a prompt in one event of a stream."""


class CompletionLogprobs(BaseModel):
    r"""A text's tokens in four lists of equal length.

    `text_offset` counts characters up to the one that a token belongs to. A token that is no whole
    characters reads `bytes:\xf0\x9f`. `top_logprobs` are the likeliest and the chosen token; one
    that reads like a likelier one is called `token_id:ID`. A text's first token, where it is the
    prompt's, has none.
    """

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None]
    text_offset: list[int]


class CompletionChoice(BaseModel):
    """A continuation, or a stretch of one; what was not asked for is absent."""

    index: int
    text: str
    logprobs: CompletionLogprobs | None
    finish_reason: FinishReason | None
    prompt_logprobs: PromptLogprobs | None = None
    prompt_token_ids: list[int] | None = None
    token_ids: list[int] | None = None


@dataclass(frozen=True)
class Showing:
    """What choices show beside their texts.

    `logprobs` counts the likeliest tokens, with their ids instead of their texts where `as_ids` is
    set. `echo` puts the prompt before the text.
    """

    logprobs: int | None = None
    as_ids: bool = False
    echo: bool = False
    token_ids: bool = False
    prompt_logprobs: bool = False

    def choice(self, index: int, output: Generated, prompt: ShownPrompt) -> CompletionChoice:
        """Show a whole continuation."""
        shown = self._choice(index, output, prompt)
        if self.echo:
            shown.text = prompt.text + output.text
            if shown.logprobs is not None:
                before = self._logprobs(prompt.logprobs(), first=True)
                shown.logprobs = _joined(before, shown.logprobs)
        if self.prompt_logprobs:
            shown.prompt_logprobs = prompt_logprobs(prompt)
        if self.token_ids:
            shown.prompt_token_ids = prompt.tokens
        return shown

    def opening(self, index: int, prompt: ShownPrompt) -> Iterator[CompletionChoice]:
        """Show of a stream's prompt what comes before the continuation."""
        tokens = prompt.logprobs() if self.echo else []
        starts = [token.offset for token in tokens]
        for start in range(0, len(tokens), _ECHOED_AT_ONCE):
            end = start + _ECHOED_AT_ONCE
            text = prompt.text[starts[start] : starts[end] if end < len(starts) else None]
            shown = CompletionChoice(index=index, text=text, logprobs=None, finish_reason=None)
            if self.logprobs is not None:
                shown.logprobs = self._logprobs(tokens[start:end], first=start == 0)
            yield shown

    def stretch(self, piece: Piece, prompt: ShownPrompt) -> CompletionChoice:
        """Show a stretch of a streamed continuation."""
        return self._choice(piece.index, piece, prompt)

    def _choice(self, index: int, text: Generated | Piece, prompt: ShownPrompt) -> CompletionChoice:
        shown = CompletionChoice(
            index=index, text=text.text, logprobs=None, finish_reason=text.finish_reason
        )
        if self.logprobs is not None and (text.logprobs or self.echo):
            begun = len(prompt.text) if self.echo else 0
            moved = [replace(each, offset=begun + each.offset) for each in text.logprobs or ()]
            shown.logprobs = self._logprobs(moved)
        if self.token_ids:
            shown.token_ids = list(text.tokens)
        return shown

    def _logprobs(
        self, tokens: Sequence[TokenLogprob], *, first: bool = False
    ) -> CompletionLogprobs:
        logprobs: list[Any] = [finite(token.logprob) for token in tokens]
        tables: list[Any] = [self._table(token) for token in tokens]
        if first:
            logprobs[0] = tables[0] = None
        return CompletionLogprobs(
            tokens=[f"token_id:{each.id}" if self.as_ids else each.text for each in tokens],
            token_logprobs=logprobs,
            top_logprobs=tables,
            text_offset=[token.offset for token in tokens],
        )

    def _table(self, token: TokenLogprob) -> dict[str, float]:
        """The likeliest tokens and the chosen one, each with an entry of its own."""
        found: dict[str, float] = {}
        for each in {each.id: each for each in (*token.top[: self.logprobs], token)}.values():
            by_id = self.as_ids or each.text in found
            found[f"token_id:{each.id}" if by_id else each.text] = finite(each.logprob)
        return found


def _joined(before: CompletionLogprobs, after: CompletionLogprobs) -> CompletionLogprobs:
    return CompletionLogprobs(
        tokens=before.tokens + after.tokens,
        token_logprobs=before.token_logprobs + after.token_logprobs,
        top_logprobs=before.top_logprobs + after.top_logprobs,
        text_offset=before.text_offset + after.text_offset,
    )
