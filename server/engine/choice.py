"""Choices: one of a request's texts, as its tokens come."""

from dataclasses import replace

from transformers import PreTrainedTokenizerFast

from server.engine.detokenizer import Detokenizer
from server.engine.event import Token
from server.engine.output import Piece, ScoredToken, TokenLogprob
from server.engine.prompt import Prompt
from server.engine.reply import Reply
from server.engine.request import Request
from server.engine.token_texts import TokenTexts
from server.model.sampler import Chosen

_MOST_HELD = 32
"""Tokens with their log-probabilities that wait for their text: an event shows no more."""


class Choice:
    """Makes pieces of text, calls and log-probabilities out of tokens.

    `tokens` counts those that came, `last` is when the last of them did; after the choice has
    `ended` none is pushed.
    """

    def __init__(
        self, index: int, request: Request, prompt: Prompt, tokenizer: PreTrainedTokenizerFast
    ) -> None:
        sampling, form = request.sampling, prompt.reply
        self.tokens = 0
        self.ended = False
        self.last: float | None = None
        self._index = index
        self._detokenizer = Detokenizer(
            tokenizer,
            index,
            sampling.stop,
            prompt.tokens if prompt.continued else (),
            sampling.min_tokens,
            special=form is not None and form.special,
        )
        self._reply = Reply(form) if form is not None else None
        self._texts = TokenTexts.of(tokenizer)
        self._shows_tokens = sampling.max_tokens > 0
        self._shows_logprobs = self._shows_tokens and sampling.logprobs is not None
        self._shows_end = request.all_logprobs
        self._new: list[int] = []
        self._logprobs: list[TokenLogprob] = []

    def push(self, event: Token) -> Piece | None:
        """Take the next token; returns what it completes, if that is anything to see."""
        self.tokens += 1
        token, silent = event.chosen.token, event.silent
        piece = self._detokenizer.push(None if silent else token, event.finish)
        if self._shows_tokens:
            self._new.append(token)
        if self._shows_logprobs and (self._shows_end or not silent):
            self._logprobs.append(self._logprob(event.chosen))
        if piece is not None and self._reply is not None:
            piece = self._reply.read(piece)
        if piece is None or not piece.says_something:
            if len(self._logprobs) < _MOST_HELD:
                return None
            piece = Piece(self._index, "")
        logprobs, tokens = tuple(self._logprobs), tuple(self._new)
        shown = replace(piece, logprobs=logprobs, tokens=tokens, score=event.score)
        self._logprobs, self._new = [], []
        return shown

    def _logprob(self, chosen: Chosen) -> TokenLogprob:
        texts, token = self._texts, chosen.token
        top = (ScoredToken(each, texts.text(each), texts.bytes(each), p) for each, p in chosen.top)
        text, spelt, offset = texts.text(token), texts.bytes(token), self._detokenizer.offset
        return TokenLogprob(token, text, spelt, chosen.logprob, offset, tuple(top))
