"""The sampler: the next token of every row, vectorised over the rows of a step."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor

from deltas.kernels import load_base_kernels
from deltas.kernels.kernels import NONE_ALLOWED, NOT_FINITE
from server.model.rules import Rule, TokenMask
from server.model.sampling import Sampling

_COLDEST = 1e-6
"""The lowest temperature that is told apart from 0."""


@dataclass(frozen=True, slots=True)
class Row:
    """What the next token of one sequence depends on besides its logits.

    `text` are the prompt's and the generated tokens, `generated` how many are generated. `mask`
    is a rule that acts after the others. Each row draws from its own generator, so that no row's
    luck depends on its company.
    """

    sampling: Sampling
    generator: torch.Generator
    text: Sequence[int]
    generated: int
    rules: Sequence[Rule] = ()
    mask: TokenMask | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """A row's next token; `logprob` and the likeliest `top` tokens only if they were asked for."""

    token: int
    logprob: float = 0.0
    top: tuple[tuple[int, float], ...] = ()


class Lack(Enum):
    """Why a row has no next token, or beams no text."""

    FINITE = "its logits are not finite"
    ALLOWED = "its rules leave none"
    TEXTS = "fewer texts than wanted can end"


_LACKS = {NOT_FINITE: Lack.FINITE, NONE_ALLOWED: Lack.ALLOWED}


def sample(logits: Tensor, rows: Sequence[Row]) -> list[Chosen | Lack]:
    """Choose a token for each row of logits [n, vocabulary], where there is one.

    Log-probabilities are those of the unmodified logits. Greedy rows take the likeliest token
    that is left by their rules; the others are drawn after their rules, temperature, top-k, top-p
    and min-p, in that order.
    """
    if not rows:
        return []
    tokens = _likeliest(logits, [row.mask for row in rows])
    others = [
        index
        for index, (token, row) in enumerate(zip(tokens, rows, strict=True))
        if isinstance(token, int) and not _stays(token, row)
    ]
    if others:
        picks = _pick(logits[others].float(), [rows[index] for index in others])
        for index, token in zip(others, picks, strict=True):
            tokens[index] = token
    return [
        _report(logits[index], token, row.sampling.logprobs) if isinstance(token, int) else token
        for index, (token, row) in enumerate(zip(tokens, rows, strict=True))
    ]


def _stays(token: int, row: Row) -> bool:
    """Whether the likeliest token that a row's mask lets come is the row's next one."""
    return row.sampling.temperature == 0 and all(
        rule.keeps(token, row.text, row.generated) for rule in row.rules
    )


def _likeliest(logits: Tensor, masks: Sequence[TokenMask | None]) -> list[int | Lack]:
    """The likeliest token of each row that its mask lets come."""
    if kernels := load_base_kernels(logits.dtype, logits.device.type):
        found = kernels.likeliest(logits.contiguous(), [mask and mask.bits for mask in masks])
        return [_LACKS.get(token, token) for token in found]
    # One number that is not finite makes the sum so, and sums are the fastest look at all of them.
    finite = logits.sum(dim=-1, dtype=torch.float32).isfinite().tolist()
    tokens = _greatest(_masked(logits, masks))
    return [token if sound else Lack.FINITE for token, sound in zip(tokens, finite, strict=True)]


def _masked(logits: Tensor, masks: Sequence[TokenMask | None]) -> Tensor:
    if any(masks):
        logits = logits.clone()
    for values, mask in zip(logits, masks, strict=True):
        if mask is not None:
            mask.apply(values, (), 0)
    return logits


def _greatest(logits: Tensor) -> list[int | Lack]:
    highest, tokens = logits.max(dim=-1)
    found = zip(highest.tolist(), tokens.tolist(), strict=True)
    return [Lack.ALLOWED if value == -torch.inf else token for value, token in found]


def _pick(logits: Tensor, rows: Sequence[Row]) -> list[int | Lack]:
    """Choose a token for each row of float32 logits, which may be changed."""
    for values, row in zip(logits, rows, strict=True):
        for rule in row.rules if row.mask is None else (*row.rules, row.mask):
            rule.apply(values, row.text, row.generated)
    tokens = _greatest(logits)
    drawn = [index for index, row in enumerate(rows) if row.sampling.temperature > 0]
    if drawn:
        scaled = _scaled(logits[drawn], [rows[index].sampling for index in drawn])
        picks = _draw(scaled, [rows[index].generator for index in drawn])
        for index, token in zip(drawn, picks, strict=True):
            tokens[index] = token if isinstance(tokens[index], int) else tokens[index]
    return tokens


def _report(logits: Tensor, token: int, alternatives: int | None) -> Chosen:
    if alternatives is None:
        return Chosen(token)
    logprobs = logits.float().log_softmax(dim=-1)
    values, indices = logprobs.topk(alternatives)
    top = zip(indices.tolist(), values.tolist(), strict=True)
    return Chosen(token, float(logprobs[token]), tuple(top))


def _scaled(logits: Tensor, samplings: Sequence[Sampling]) -> Tensor:
    """Scale by temperature and mask what top-k, top-p and min-p leave out."""
    # Counted from the likeliest, so that no temperature, however low, makes them overflow.
    logits = logits - logits.amax(dim=-1, keepdim=True)
    logits = logits / _column([max(s.temperature, _COLDEST) for s in samplings], logits)
    filtering = [index for index, sampling in enumerate(samplings) if _filters(sampling)]
    if filtering:
        logits[filtering] = _filtered(logits[filtering], [samplings[at] for at in filtering])
    return logits


def _filters(sampling: Sampling) -> bool:
    return sampling.top_k > 0 or sampling.top_p < 1 or sampling.min_p > 0


def _column(values: Sequence[float], beside: Tensor) -> Tensor:
    return torch.tensor(values, device=beside.device)[:, None]


def _filtered(logits: Tensor, samplings: Sequence[Sampling]) -> Tensor:
    ordered, order = logits.sort(dim=-1, descending=True)
    rank = torch.arange(logits.shape[-1], device=logits.device)[None]
    kept = _column([sampling.top_k or logits.shape[-1] for sampling in samplings], logits)
    ordered = ordered.masked_fill(rank >= kept, -torch.inf)
    # The tokens whose predecessors hold less than top_p of the mass: always at least one.
    before = ordered.softmax(dim=-1)
    before = before.cumsum(dim=-1) - before
    most = _column([s.top_p if s.top_p < 1 else torch.inf for s in samplings], logits)
    ordered = ordered.masked_fill((before >= most) & (rank > 0), -torch.inf)
    probabilities = ordered.softmax(dim=-1)
    least = _column([sampling.min_p for sampling in samplings], logits) * probabilities[:, :1]
    ordered = ordered.masked_fill(probabilities < least, -torch.inf)
    return torch.full_like(logits, -torch.inf).scatter(-1, order, ordered)


def _draw(logits: Tensor, generators: Sequence[torch.Generator]) -> list[int]:
    """Draw from each row's softmax by the exponential race, on the row's own generator."""
    noise = torch.stack(
        [
            torch.empty(logits.shape[-1]).exponential_(generator=generator)
            for generator in generators
        ]
    )
    return (logits.softmax(dim=-1) / noise.to(logits.device)).argmax(dim=-1).tolist()
