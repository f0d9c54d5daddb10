"""Rules: what may be written next, beyond what the logits say."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Rule(Protocol):
    """Changes how likely tokens are to come next; a row's rules act one after another."""

    def apply(self, logits: Tensor, text: Sequence[int], generated: int) -> None:
        """Change one row's float32 logits [vocabulary] in place.

        `text` are the prompt's and the generated tokens, `generated` how many these are.
        """
        ...


@dataclass(frozen=True, eq=False)
class Bias:
    """Adds `values` [n] to the logits of `tokens` [n], as OpenAI's `logit_bias` does."""

    tokens: Tensor
    values: Tensor

    def apply(self, logits: Tensor, text: Sequence[int], generated: int) -> None:
        """Add the values; no token is named twice."""
        del text, generated
        logits[self.tokens] += self.values


@dataclass(frozen=True)
class Penalties:
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
class AllowedTokens:
    """Lets nothing come but `tokens` [n]."""

    tokens: Tensor

    def apply(self, logits: Tensor, text: Sequence[int], generated: int) -> None:
        """Leave the tokens' logits as they are."""
        del text, generated
        kept = logits[self.tokens]
        logits.fill_(-torch.inf)
        logits[self.tokens] = kept


@dataclass(frozen=True, eq=False)
class ForbiddenTokens:
    """Lets no token come of which `tokens` [vocabulary] is true."""

    tokens: Tensor

    def apply(self, logits: Tensor, text: Sequence[int], generated: int) -> None:
        """Leave the other tokens' logits as they are."""
        del text, generated
        logits.masked_fill_(self.tokens, -torch.inf)


@dataclass(frozen=True, eq=False)
class HeldTokens:
    """Lets none of `tokens` [n] come before `until` tokens are generated."""

    tokens: Tensor
    until: int

    def apply(self, logits: Tensor, text: Sequence[int], generated: int) -> None:
        """Hold the tokens back, if it is too early for them."""
        del text
        if generated < self.until:
            logits[self.tokens] = -torch.inf


@dataclass(frozen=True)
class BadWords:
    """Lets no word, each some tokens, be completed within what is generated."""

    words: tuple[tuple[int, ...], ...]

    def apply(self, logits: Tensor, text: Sequence[int], generated: int) -> None:
        """Keep the last token of those words from coming of which all others have come."""
        written = text[len(text) - generated :]
        last = [word[-1] for word in self.words if _ends_with(written, word[:-1])]
        if last:
            logits[last] = -torch.inf


def _ends_with(written: Sequence[int], tokens: Sequence[int]) -> bool:
    start = len(written) - len(tokens)
    return start >= 0 and tuple(written[start:]) == tokens
