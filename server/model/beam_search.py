"""Beam search: the likeliest of several texts, each step going on with the likeliest so far."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from server.model.sampling import Sampling


class Continuation(NamedTuple):
    """A token behind one of the texts."""

    parent: int
    token: int


class Hypothesis(NamedTuple):
    """A text that has ended; `score` is its log-probability, shared out by its length."""

    tokens: tuple[int, ...]
    score: float


class BeamSearch:
    """Decides which of `num_beams` texts go on, as Transformers' `generate` does.

    `lead` tokens come before each text and count to its length all the same. Where less than
    `num_beams` can go on, the others are kept up at minus infinity and none of them is found.
    """

    def __init__(self, sampling: Sampling, lead: int = 0) -> None:
        count = sampling.num_beams
        self._count = count
        self._penalty = sampling.length_penalty
        self._early = sampling.early_stopping
        self._lead = lead
        # Until the first token all texts are the same: one of them is looked at.
        self._scores = torch.tensor([0.0] + [-torch.inf] * (count - 1))
        self._ended = torch.full((count,), -torch.inf)
        self._texts: list[tuple[int, ...] | None] = [None] * count

    def advance(
        self, logprobs: Tensor, texts: Sequence[Sequence[int]], ends: Collection[int], left: int
    ) -> list[Continuation]:
        """Choose what goes on of `texts`, by log-probabilities [beams, vocabulary] in float32.

        A token of `ends` ends a text, and so does the last of the `left` that may still come.
        Returns a continuation for each beam, the likeliest first, or none once the search is over.
        """
        vocabulary = logprobs.shape[-1]
        sums = (logprobs + self._scores.to(logprobs.device)[:, None]).flatten()
        # Of so many there are enough that do not end, whatever the likeliest do.
        most = min(max(2, 1 + len(ends)) * self._count, len(sums))
        values, places = (each.cpu() for each in sums.topk(most))
        found = [Continuation(*divmod(place, vocabulary)) for place in places.tolist()]
        stops = torch.tensor([left <= 1 or each.token in ends for each in found])
        length = self._lead + len(texts[0]) + 1
        self._collect(values, found, stops, texts, length)
        self._scores, chosen = values.masked_fill(stops, -torch.inf).topk(self._count)
        if stops.all() or not self._may_improve(length, length + left - 1):
            return []
        return [found[index] for index in chosen.tolist()]

    @property
    def best(self) -> list[Hypothesis]:
        """The texts that have ended, the likeliest first."""
        pairs = zip(self._texts, self._ended.tolist(), strict=True)
        return [Hypothesis(text, score) for text, score in pairs if text is not None]

    def _collect(
        self,
        values: Tensor,
        found: Sequence[Continuation],
        stops: Tensor,
        texts: Sequence[Sequence[int]],
        length: int,
    ) -> None:
        """Keep the best of what had ended and of what ends now among the likeliest."""
        if self._early is True and None not in self._texts:
            return
        ending = stops & (torch.arange(len(found)) < self._count) & values.isfinite()
        scores = (values / length**self._penalty).masked_fill(~ending, -torch.inf)
        ended: list[tuple[int, ...] | None] = [
            (*texts[each.parent], each.token) if ends else None
            for each, ends in zip(found, ending.tolist(), strict=True)
        ]
        merged = [*self._texts, *ended]
        self._ended, order = torch.cat((self._ended, scores)).topk(self._count)
        self._texts = [merged[index] for index in order.tolist()]

    def _may_improve(self, length: int, most: int) -> bool:
        """Whether the likeliest text under way may come before one that has ended."""
        full = None not in self._texts
        if full and self._early is True:
            return False
        hoped = most if self._early == "never" and self._penalty > 0 else length
        worst = float(self._ended.min()) if full else -torch.inf
        return bool(self._scores[0] / hoped**self._penalty > worst)
