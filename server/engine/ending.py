"""Endings: the few tokens by which a text that is about to be cut off still keeps to its grammar.

A grammar tells what may come next, not how far its end is. What leads there is found by trying: the
characters that close JSON's parts first, then those that begin its shortest values.
"""

from collections.abc import Iterator, Sequence

from llguidance import LLMatcher, LLTokenizer

MOST = 256
"""Tokens of the longest ending that is looked for."""

_CLOSERS = b"}]"
_FIRST = b'}],"0' + b"@.:/-!#$%&'()*+;<=>?^_`|~" + b"ZTntf[{ "
"""Marks come before most digits and letters, which many patterns repeat for ever."""


class Endings:
    """Finds endings made of a tokenizer's tokens of one byte and of those that grammars force."""

    def __init__(self, tokenizer: LLTokenizer) -> None:
        order = dict.fromkeys((*_FIRST, *range(ord("1"), 256), *range(256)))
        self._tokens = {byte: token for byte in order for token in _single(tokenizer, byte)}
        self._closing = {self._tokens[byte] for byte in _CLOSERS if byte in self._tokens}
        self.tokenizer = tokenizer
        self.stop = tokenizer.eos_token

    def find(self, state: LLMatcher, known: Sequence[int], most: int = MOST) -> list[int] | None:
        """At most so many tokens that lead from a state to where a text may end; it stays as it is.

        The end of `known` is taken if it leads there. None if none are found: others may do so.
        """
        for rest in (list(known[start:]) for start in range(len(known))):
            if self._leads_out(state, rest) and len(rest) <= most:
                return rest
        state = state.deep_copy()
        found: list[int] = []
        while not state.is_accepting():
            tokens = state.compute_ff_tokens() or self._next(state, found[-1:])
            if not tokens or len(found) + len(tokens) > most or not state.consume_tokens(tokens):
                return None
            found += tokens
        return found

    def _leads_out(self, state: LLMatcher, tokens: list[int]) -> bool:
        return state.validate_tokens([*tokens, self.stop]) > len(tokens)

    def _next(self, state: LLMatcher, before: Sequence[int]) -> list[int]:
        # Only in a string may these come, and there brackets are text.
        text = self._allowed(state, b"\\_")
        if self._allowed(state, b'"') and (text or not self._allowed(state, _CLOSERS)):
            return self._allowed(state, b'"')
        # What has just been written comes again only if it closes, or if nothing else may come.
        late = self._closing | set(before) if text else set(before) - self._closing
        order = sorted(self._tokens.values(), key=late.__contains__)
        return next(([token] for token in order if state.validate_tokens([token])), [])

    def _allowed(self, state: LLMatcher, text: bytes) -> list[int]:
        """The first of some bytes that may come, as a token."""
        tokens = (self._tokens[byte] for byte in text if byte in self._tokens)
        return next(([token] for token in tokens if state.validate_tokens([token])), [])


def _single(tokenizer: LLTokenizer, byte: int) -> Iterator[int]:
    tokens = tokenizer.tokenize_bytes(bytes((byte,)))
    if len(tokens) == 1:
        yield from tokens
