"""Rules: what may be written next, beyond what the logits say."""

from array import array
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

_WORD = 32


class Rule(Protocol):
    """Changes how likely tokens are to come next; a row's rules act one after another."""

    def apply(self, logits: Tensor, text: Sequence[int], generated: int) -> None:
        """Change one row's float32 logits [vocabulary] in place.

        `text` are the prompt's and the generated tokens, `generated` how many these are.
        """
        ...

    def is_over(self, generated: int) -> bool:
        """Whether it changes nothing any more once so many tokens are generated."""
        del generated
        return False

    def keeps(self, token: int, text: Sequence[int], generated: int) -> bool:
        """Whether the likeliest token is sure to stay so: what only forbids others keeps it."""
        del token, text, generated
        return False


@dataclass(frozen=True, eq=False)
class Bias(Rule):
    """Adds `values` [n] to the logits of `tokens` [n], as OpenAI's `logit_bias` does."""

    tokens: Tensor
    values: Tensor

    def apply(self, logits: Tensor, text: Sequence[int], generated: int) -> None:
        """Add the values; no token is named twice."""
        del text, generated
        logits[self.tokens] += self.values


@dataclass(frozen=True)
class Penalties(Rule):
    """Makes less likely what is written already.

    The repetition penalty counts the prompt as well (Keskar et al., 2019, arXiv:1909.05858);
    presence and frequency penalties count what was generated, as OpenAI defines them.
    """

    repetition: float = 1.0
    presence: float = 0.0
    frequency: float = 0.0

    def apply(self, logits: Tensor, text: Sequence[int], generated: int) -> None:
        """Penalise each token as often as its penalty counts it."""
        if self.repetition != 1:
            seen = torch.tensor(sorted(set(text)), device=logits.device)
            values = logits[seen]
            logits[seen] = torch.where(
                values > 0, values / self.repetition, values * self.repetition
            )
        if generated and (self.presence or self.frequency):
            written = torch.tensor(list(text[-generated:]), device=logits.device)
            tokens, counts = written.unique(return_counts=True)
            logits[tokens] -= self.presence + self.frequency * counts


@dataclass(frozen=True, eq=False)
class AllowedTokens(Rule):
    """Lets nothing come but `tokens` [n]."""

    tokens: Tensor

    def apply(self, logits: Tensor, text: Sequence[int], generated: int) -> None:
        """Leave the tokens' logits as they are."""
        del text, generated
        kept = logits[self.tokens]
        logits.fill_(-torch.inf)
        logits[self.tokens] = kept


@dataclass(frozen=True, eq=False)
class TokenMask(Rule):
    """Lets no token come whose bit in `bits` [vocabulary / 32] of int32, rounded up, is not set."""

    bits: Tensor

    def apply(self, logits: Tensor, text: Sequence[int], generated: int) -> None:
        """Leave the other tokens' logits as they are."""
        del text, generated
        places = torch.arange(_WORD, dtype=torch.int32, device=self.bits.device)
        unset = (self.bits[:, None] >> places) & 1 == 0
        logits.masked_fill_(unset.flatten()[: len(logits)], -torch.inf)


class ForbiddenTokens(Rule):
    """Lets some tokens not come, whatever the logits say."""

    def forbidden(self, text: Sequence[int], generated: int) -> Collection[int]:
        """The tokens that must not come next."""
        raise NotImplementedError

    def apply(self, logits: Tensor, text: Sequence[int], generated: int) -> None:
        """Keep these tokens from coming."""
        if tokens := self.forbidden(text, generated):
            logits[list(tokens)] = -torch.inf

    def keeps(self, token: int, text: Sequence[int], generated: int) -> bool:
        """Whether the token is none of these."""
        return token not in self.forbidden(text, generated)


@dataclass(frozen=True)
class HeldTokens(ForbiddenTokens):
    """Lets none of `tokens` come before `until` tokens are generated."""

    tokens: frozenset[int]
    until: int

    def forbidden(self, text: Sequence[int], generated: int) -> Collection[int]:
        """The tokens, if it is too early for them."""
        del text
        return () if self.is_over(generated) else self.tokens

    def is_over(self, generated: int) -> bool:
        """Whether there are enough tokens."""
        return generated >= self.until


@dataclass(frozen=True)
class BadWords(ForbiddenTokens):
    """Lets no word, each some tokens, be completed within what is generated."""

    words: tuple[tuple[int, ...], ...]

    def forbidden(self, text: Sequence[int], generated: int) -> Collection[int]:
        """The last token of those words of which all others have come."""
        written = text[len(text) - generated :]
        return [word[-1] for word in self.words if _ends_with(written, word[:-1])]


@dataclass(frozen=True, eq=False)
class RepeatedNgrams(ForbiddenTokens):
    """Lets no `size` tokens in a row come that the text has, or `source` [n] where there is one.

    As Transformers' `no_repeat_ngram_size` does, and its `encoder_no_repeat_ngram_size`.
    """

    size: int
    source: Tensor | None = None

    def forbidden(self, text: Sequence[int], generated: int) -> Collection[int]:
        """What came wherever the text's last tokens were before."""
        del generated
        before = text[max(0, len(text) - self.size + 1) :]
        if len(before) < self.size - 1:
            return []
        tokens = _tensor(text) if self.source is None else self.source
        found = torch.ones(max(0, len(tokens) - len(before)), dtype=torch.bool)
        for at, token in enumerate(before):
            found &= tokens[at : at + len(found)] == token
        return tokens[len(before) :][found].unique().tolist()


@dataclass(frozen=True)
class ForcedToken(Rule):
    """Lets nothing but `token` come once `after` tokens are generated."""

    token: int
    after: int

    def apply(self, logits: Tensor, text: Sequence[int], generated: int) -> None:
        """Make the token certain, if it is time, whatever forbids it."""
        del text
        if generated == self.after:
            logits.fill_(-torch.inf)
            logits[self.token] = 0.0

    def is_over(self, generated: int) -> bool:
        """Whether the token has come."""
        return generated > self.after

    def keeps(self, token: int, text: Sequence[int], generated: int) -> bool:
        """Whether it is not time, or this is the token."""
        del text
        return generated != self.after or token == self.token


def _ends_with(written: Sequence[int], tokens: Sequence[int]) -> bool:
    start = len(written) - len(tokens)
    return start >= 0 and tuple(written[start:]) == tokens


def _tensor(tokens: Sequence[int]) -> Tensor:
    # From a list, an array is made much sooner than a tensor.
    return torch.frombuffer(array("q", tokens), dtype=torch.int64)
