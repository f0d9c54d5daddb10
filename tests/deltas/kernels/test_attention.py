"""The kernels' attention over scattered blocks, against PyTorch's in float64."""

import math
from collections.abc import Sequence

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from deltas.kernels import Kernels
from deltas.kernels.backend import Bias
from server.model.cache import BLOCK
from tests.deltas.kernels.rounding import SUMMING, close, rounding
from tests.deltas.kernels.small_rank import draw


def rotated(x: Tensor, angles: Tensor, neighbours: bool) -> Tensor:
    """Rotary embedding of x [rows, heads, width]: of as many numbers as there are angles."""
    x, rest = x.split([angles.shape[1], x.shape[-1] - angles.shape[1]], dim=-1)
    if neighbours:
        turned = torch.stack([-x[..., 1::2], x[..., ::2]], dim=-1).flatten(-2)
    else:
        real, imaginary = x.chunk(2, dim=-1)
        turned = torch.cat([-imaginary, real], dim=-1)
    return torch.cat([x * angles.cos()[:, None] + turned * angles.sin()[:, None], rest], dim=-1)


@settings(max_examples=40, deadline=None)
@given(
    chunks=st.lists(st.tuples(st.integers(1, 40), st.integers(0, 40)), min_size=1, max_size=4),
    heads=st.sampled_from([(4, 4), (6, 2), (9, 3), (8, 1)]),
    width=st.sampled_from([2, 8, 16, 24, 64]),
    window=st.sampled_from([None, 1, 5, 16, 33]),
    causal=st.booleans(),
    turned=st.sampled_from([None, "halves", "neighbours"]),
    whole_heads=st.booleans(),
    cap=st.sampled_from([None, 2.0]),
    sinking=st.booleans(),
    biased=st.sampled_from([None, "by place", "by distance"]),
    seed=st.integers(0, 1000),
)
def test_attention(
    kernels: Kernels,
    chunks: Sequence[tuple[int, int]],
    heads: tuple[int, int],
    width: int,
    window: int | None,
    causal: bool,
    turned: str | None,
    whole_heads: bool,
    cap: float | None,
    sinking: bool,
    biased: str | None,
    seed: int,
) -> None:
    """Every sequence is placed in two steps, its blocks scattered amid blocks of NaN."""
    queries, keys = heads
    generator = torch.Generator().manual_seed(seed)
    sinks = torch.randn(queries, generator=generator) if sinking else None
    centre = 80 if biased == "by distance" else None
    bias = None if biased is None else Bias(torch.randn(queries, 200, generator=generator), centre)
    lengths = [context + rows for rows, context in chunks]
    counts = [-(-length // BLOCK) for length in lengths]
    order = torch.randperm(sum(counts) + 2, generator=generator).tolist()
    tables = [[order.pop() for _ in range(count)] for count in counts]
    key_size, value_size = kernels.cache_sizes(width)
    cache = tuple(
        torch.full((sum(counts) + 2, keys, size), math.nan, dtype=kernels.dtype)
        for size in (key_size, value_size)
    )
    columns = (queries + 2 * keys) * width
    whole = [draw(seed + at, kernels.dtype, n, columns) for at, n in enumerate(lengths)]
    some = width if whole_heads else max(2, width // 4 * 2)
    angles = [torch.rand(n, some, generator=generator) for n in lengths]
    fused: list[Tensor] = []
    for second in (False, True):
        spans = [(c, c + r) if second else (0, c) for r, c in chunks]
        fused = [rows[start:end].clone() for rows, (start, end) in zip(whole, spans, strict=True)]
        packed = torch.cat(fused)
        turns = torch.cat([a[start:end] for a, (start, end) in zip(angles, spans, strict=True)])
        places = [
            table[at // BLOCK] * BLOCK + at % BLOCK
            for table, span in zip(tables, spans, strict=True)
            for at in range(*span)
        ]
        kernels.place(
            packed, (queries, keys, width), (None, None), 0.0,
            (turns.cos(), turns.sin()) if turned else None,
            torch.tensor(places, dtype=torch.int32), (cache[0], cache[1]),
            neighbours=turned == "neighbours",
        )  # fmt: skip
        fused = [packed]
    numbers, flat, start = list[tuple[int, int, int, int]](), list[int](), 0
    for (rows, context), table in zip(chunks, tables, strict=True):
        numbers.append((start, rows, context, len(flat)))
        flat.extend(table)
        start += rows
    found = kernels.attend(
        fused[0], (queries, keys, width), (cache[0], cache[1]),
        torch.tensor(numbers, dtype=torch.int32), torch.tensor(flat, dtype=torch.int32),
        width**-0.5, causal, window, cap, sinks, bias,
    )  # fmt: skip
    expected, slack = list[Tensor](), list[Tensor]()
    # What scores, and what they are made of where it was turned, lose of their terms.
    lost = 2 * rounding(kernels.dtype) * (turned is not None) + 4 * SUMMING
    for (rows, context), values, turns in zip(chunks, whole, angles, strict=True):
        q, k, v = (
            part.view(len(values), -1, width)
            for part in values.double().split([queries * width, keys * width, keys * width], dim=1)
        )
        if turned:
            q, k = (rotated(each, turns.double(), turned == "neighbours") for each in (q, k))
        at = torch.arange(len(values))
        ahead = at - at[:, None]
        mask = ahead <= 0 if causal else torch.ones_like(ahead, dtype=torch.bool)
        mask = mask if window is None else mask & (ahead.abs() < window)
        q, k, v = (each.transpose(0, 1) for each in (q, k, v))
        k, v = (each.repeat_interleave(queries // keys, dim=0) for each in (k, v))
        scores = width**-0.5 * (q.abs() @ k.abs().mT).amax(dim=-1, keepdim=True)
        # A softmax's shares change by what their own score is off, and the others'.
        share = 2 * lost * scores + rounding(kernels.dtype) + SUMMING
        looked = width**-0.5 * (q @ k.mT)
        looked = looked if cap is None else cap * (looked / cap).tanh()
        if bias is not None:
            looked = (
                looked + bias.table[:, at.expand_as(ahead) if centre is None else centre + ahead]
            )
        looked = looked.masked_fill(~mask, -math.inf)
        if sinks is not None:
            looked = torch.cat([looked, sinks[:, None, None].expand(-1, len(at), 1)], dim=-1)
        shares = looked.softmax(dim=-1)[..., : len(at)]
        answer, strays = shares @ v, share * (shares @ v.abs())
        for whole_sequence, of in ((answer, expected), (strays, slack)):
            of.append(whole_sequence.transpose(0, 1)[context:].flatten(1))
        assert rows == len(expected[-1])
    close(found, torch.cat(expected), torch.cat(slack))
