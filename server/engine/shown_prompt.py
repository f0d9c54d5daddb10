"""A prompt as its caller may see it again: its tokens, its text, and how likely they were."""

from codecs import getincrementaldecoder
from collections.abc import Sequence
from functools import cached_property

from server.engine.output import ScoredToken, TokenLogprob
from server.engine.prompt import Prompt
from server.engine.token_texts import TokenTexts
from server.model.judge import Judged


class ShownPrompt:
    """A prompt's tokens and text; `judged` are all but the first token, if that was asked for."""

    def __init__(self, prompt: Prompt, texts: TokenTexts, judged: Sequence[Judged] = ()) -> None:
        self.tokens = prompt.tokens
        self.judged = judged
        self._prompt = prompt
        self.texts = texts

    @cached_property
    def text(self) -> str:
        """The text that was read; of tokens alone, the text that they stand for."""
        if self._prompt.text:
            return self._prompt.text
        return b"".join(map(self.texts.bytes, self.tokens)).decode(errors="replace")

    def scored(self, token: int, logprob: float) -> ScoredToken:
        """A token with its text."""
        return ScoredToken(token, self.texts.text(token), self.texts.bytes(token), logprob)

    def logprobs(self) -> list[TokenLogprob]:
        """All tokens with where they begin; what was not judged, as the first, scores 0."""
        first, *rest = (Judged(token, 0.0, 1) for token in self.tokens)
        return [
            TokenLogprob(
                each.token,
                self.texts.text(each.token),
                self.texts.bytes(each.token),
                each.logprob,
                offset,
                tuple(self.scored(token, logprob) for token, logprob in each.top),
            )
            for each, offset in zip((first, *(self.judged or rest)), self._offsets, strict=True)
        ]

    @cached_property
    def _offsets(self) -> list[int]:
        """The index of the character that each token belongs to."""
        words = self._prompt.words
        decoder = getincrementaldecoder("utf-8")("replace")
        found: list[int] = []
        length = 0
        for at, token in enumerate(self.tokens):
            found.append(length)
            # What a tokenizer put around the text is no part of it.
            if not words or words[at] is not None:
                length += len(decoder.decode(self.texts.bytes(token)))
        # Some tokenizers put a space before a text.
        lead = max(0, length - len(self.text))
        return [max(0, each - lead) for each in found]
