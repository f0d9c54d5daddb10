"""Judging: how likely the base finds tokens that are there already."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Judged:
    """A token's log-probability in its place and its rank, and the likeliest tokens there."""

    token: int
    logprob: float
    rank: int
    top: tuple[tuple[int, float], ...] = ()


def judge(logits: Tensor, tokens: Sequence[int], alternatives: int) -> list[Judged]:
    """Judge a token by each row of logits [n, vocabulary]."""
    logprobs = logits.float().log_softmax(dim=-1)
    chosen = logprobs.gather(1, torch.tensor(tokens, device=logits.device)[:, None])
    ranks = 1 + (logprobs > chosen).sum(dim=-1)
    values, indices = logprobs.topk(alternatives)
    found = zip(
        tokens,
        chosen[:, 0].tolist(),
        ranks.tolist(),
        indices.tolist(),
        values.tolist(),
        strict=True,
    )
    return [
        Judged(token, logprob, rank, tuple(zip(ids, likeliest, strict=True)))
        for token, logprob, rank, ids, likeliest in found
    ]
