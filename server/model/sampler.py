"""The sampler: the next token of every row, vectorised over the rows of a step."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from deltas.kernels import load_base_kernels
from server.model.sampling import Sampling

_COLDEST = 1e-6
"""The lowest temperature that is told apart from 0."""


@dataclass(frozen=True, slots=True)
class Row:
    """What the next token of one sequence depends on besides its logits.

    `text` are the prompt's and the generated tokens, `generated` how many are generated. Each
    row draws from its own generator, so that no row's luck depends on its company.
    """

    sampling: Sampling
    generator: torch.Generator
    text: Sequence[int]
    generated: int


@dataclass(frozen=True, slots=True)
class Chosen:
    """A row's next token; `logprob` and the likeliest `top` tokens only if they were asked for."""

    token: int
    logprob: float = 0.0
    top: tuple[tuple[int, float], ...] = ()


def sample(logits: Tensor, rows: Sequence[Row], end_tokens: Collection[int]) -> list[Chosen | None]:
    """Choose a token for each row of logits [n, vocabulary]; None where a row is not finite.

    Log-probabilities are those of the unmodified logits. Greedy rows take the likeliest token
    after penalties; the others are drawn after temperature, top-k, top-p and min-p, in that order.
    """
    if not rows:
        return []
    tokens = _likeliest(logits)
    others = [index for index, row in enumerate(rows) if not _takes_likeliest(row)]
    if others:
        picks = _pick(logits[others].float(), [rows[index] for index in others], end_tokens)
        for index, token in zip(others, picks, strict=True):
            tokens[index] = None if tokens[index] is None else token
    return [
        None if token is None else _report(logits[index], token, row.sampling.logprobs)
        for index, (token, row) in enumerate(zip(tokens, rows, strict=True))
    ]


def _likeliest(logits: Tensor) -> list[int | None]:
    """The likeliest token of each row; None where a row is not finite."""
    if kernels := load_base_kernels(logits.dtype, logits.device.type):
        return [token if token >= 0 else None for token in kernels.likeliest(logits.contiguous())]
    # One number that is not finite makes the sum so, and sums are the fastest look at all of them.
    finite = logits.sum(dim=-1, dtype=torch.float32).isfinite().tolist()
    tokens = logits.argmax(dim=-1).tolist()
    return [token if sound else None for token, sound in zip(tokens, finite, strict=True)]


def _takes_likeliest(row: Row) -> bool:
    wanted = row.sampling
    return not (wanted.temperature > 0 or _holds_end(row) or _is_penalised(wanted))


def _holds_end(row: Row) -> bool:
    return row.generated < row.sampling.min_tokens


def _is_penalised(wanted: Sampling) -> bool:
    return bool(
        wanted.repetition_penalty != 1 or wanted.presence_penalty or wanted.frequency_penalty
    )


def _pick(logits: Tensor, rows: Sequence[Row], end_tokens: Collection[int]) -> list[int]:
    """Choose a token for each row of float32 logits, which may be changed."""
    for values, row in zip(logits, rows, strict=True):
        _adjust(values, row, end_tokens)
    tokens: list[int] = logits.argmax(dim=-1).tolist()
    drawn = [index for index, row in enumerate(rows) if row.sampling.temperature > 0]
    if drawn:
        scaled = _filtered(logits[drawn], [rows[index].sampling for index in drawn])
        picks = _draw(scaled, [rows[index].generator for index in drawn])
        for index, token in zip(drawn, picks, strict=True):
            tokens[index] = token
    return tokens


def _report(logits: Tensor, token: int, alternatives: int | None) -> Chosen:
    if alternatives is None:
        return Chosen(token)
    logprobs = logits.float().log_softmax(dim=-1)
    values, indices = logprobs.topk(alternatives)
    top = zip(indices.tolist(), values.tolist(), strict=True)
    return Chosen(token, float(logprobs[token]), tuple(top))


def _adjust(logits: Tensor, row: Row, end_tokens: Collection[int]) -> None:
    """Change one row's logits in place by what depends on its own tokens."""
    if _is_penalised(row.sampling):
        _penalise(logits, row)
    if _holds_end(row) and end_tokens:
        logits[list(end_tokens)] = -torch.inf


def _penalise(logits: Tensor, row: Row) -> None:
    """Change one row's logits in place.

    The repetition penalty counts the prompt as well (Keskar et al., 2019, arXiv:1909.05858);
    presence and frequency penalties count what was generated, as OpenAI defines them.
    """
    sampling = row.sampling
    if sampling.repetition_penalty != 1:
        seen = torch.tensor(sorted(set(row.text)), device=logits.device)
        values = logits[seen]
        factor = sampling.repetition_penalty
        logits[seen] = torch.where(values > 0, values / factor, values * factor)
    if row.generated and (sampling.presence_penalty or sampling.frequency_penalty):
        written = torch.tensor(list(row.text[-row.generated :]), device=logits.device)
        tokens, counts = written.unique(return_counts=True)
        logits[tokens] -= sampling.presence_penalty + sampling.frequency_penalty * counts


def _filtered(logits: Tensor, samplings: Sequence[Sampling]) -> Tensor:
    """Scale by temperature and mask what top-k, top-p and min-p leave out."""

    def column(values: Sequence[float]) -> Tensor:
        return torch.tensor(values, device=logits.device)[:, None]

    # Counted from the likeliest, so that no temperature, however low, makes them overflow.
    logits = logits - logits.amax(dim=-1, keepdim=True)
    logits = logits / column([max(sampling.temperature, _COLDEST) for sampling in samplings])
    if all(s.top_k == 0 and s.top_p >= 1 and s.min_p <= 0 for s in samplings):
        return logits
    ordered, order = logits.sort(dim=-1, descending=True)
    rank = torch.arange(logits.shape[-1], device=logits.device)[None]
    kept = column([sampling.top_k or logits.shape[-1] for sampling in samplings])
    ordered = ordered.masked_fill(rank >= kept, -torch.inf)
    # The tokens whose predecessors hold less than top_p of the mass: always at least one.
    before = ordered.softmax(dim=-1)
    before = before.cumsum(dim=-1) - before
    ordered = ordered.masked_fill(
        (before >= column([s.top_p if s.top_p < 1 else torch.inf for s in samplings])) & (rank > 0),
        -torch.inf,
    )
    probabilities = ordered.softmax(dim=-1)
    least = column([sampling.min_p for sampling in samplings]) * probabilities[:, :1]
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
