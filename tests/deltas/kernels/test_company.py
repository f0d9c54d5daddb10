"""A row's bits are the same in any company: whatever rows are beside it, in whatever chunks."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from deltas.kernels import Kernels
from deltas.kernels.kernels import NONE_ALLOWED, NOT_FINITE
from server.model.cache import BLOCK
from tests.deltas.kernels.small_rank import Case, Parts, cases, draw

even = st.integers(1, 40).map(lambda half: 2 * half)
seeds = st.integers(0, 1000)
threads = st.sampled_from([1, 2, 5])


@contextmanager
def team(kernels: Kernels, count: int) -> Generator[None]:
    """So many threads for this one, meanwhile."""
    kernels.use_threads(count)
    try:
        yield
    finally:
        kernels.use_threads(1)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 70),
    inputs=st.one_of(even, st.sampled_from([578, 1536])),
    outputs=st.integers(1, 100),
    rounded=st.booleans(),
    count=threads,
    seed=seeds,
)
def test_linear(
    kernels: Kernels, rows: int, inputs: int, outputs: int, rounded: bool, count: int, seed: int
) -> None:
    x, w = draw(seed, kernels.dtype, rows, inputs), draw(seed + 1, kernels.dtype, outputs, inputs)
    packed = kernels.pack_bytes(w) if rounded else kernels.pack(w)
    alone = torch.cat([kernels.linear(row[None], packed) for row in x])
    with team(kernels, count):
        assert torch.equal(kernels.linear(x, packed), alone)


@settings(max_examples=60, deadline=None)
@given(case=cases(even, st.sampled_from([32, 64, 96, 40])), count=threads)
def test_linear_with_parts(kernels: Kernels, case: Case, count: int) -> None:
    """Each row has the parts of its slot; alone, it is the only row that has any."""
    rows = case.runs[-1][2] + 2
    x = draw(case.seed, kernels.dtype, rows, case.inputs)
    packed = kernels.pack(draw(case.seed + 1, kernels.dtype, case.outputs, case.inputs))
    parts = Parts(kernels, case, case.outputs, case.seed)
    numbers = parts.numbers
    added = torch.tensor([(numbers.data_ptr(), len(numbers), 0, case.outputs)])
    alone = kernels.linear(x, packed)
    for slot, start, end in case.runs:
        for row in range(start, end):
            run = torch.tensor([(slot, 0, 1)], dtype=torch.int32)
            alone[row] = kernels.linear(x[row][None], packed, (added, run))[0]
    with team(kernels, count):
        runs = torch.tensor(case.runs, dtype=torch.int32)
        assert torch.equal(kernels.linear(x, packed, (added, runs)), alone)


@settings(max_examples=40, deadline=None)
@given(case=cases(even, st.sampled_from([64, 40])), others=st.sampled_from([16, 32]))
def test_a_part_adds_the_same_whatever_other_sites_have(
    kernels: Kernels, case: Case, others: int
) -> None:
    """Fused with sites that end within a panel or not, and at which others' parts are resident."""
    rows, outputs = case.runs[-1][2] + 2, case.outputs + 2 * others
    x = draw(case.seed, kernels.dtype, rows, case.inputs)
    w = draw(case.seed + 1, kernels.dtype, outputs, case.inputs)
    bias = draw(case.seed + 2, kernels.dtype, outputs)
    packed = kernels.pack(w, bias)
    runs = torch.tensor(case.runs, dtype=torch.int32)
    kept = [Parts(kernels, case, size, case.seed) for size in (case.outputs, others, others)]
    firsts = (0, case.outputs, case.outputs + others)
    added = [
        (parts.numbers.data_ptr(), len(parts.numbers), first, size)
        for parts, first, size in zip(kept, firsts, (case.outputs, others, others), strict=True)
    ]
    alone = kernels.linear(x, packed, (torch.tensor(added[:1]), runs))
    together = kernels.linear(x, packed, (torch.tensor(added), runs))
    assert torch.equal(together[:, : case.outputs], alone[:, : case.outputs])


@settings(max_examples=60, deadline=None)
@given(case=cases(even, st.integers(1, 70)), count=threads)
def test_small_rank(kernels: Kernels, case: Case, count: int) -> None:
    rows = case.runs[-1][2] + 2
    x = draw(case.seed, kernels.dtype, rows, case.inputs)
    together = draw(case.seed + 1, kernels.dtype, rows, case.outputs)
    alone = together.clone()
    parts = Parts(kernels, case, case.outputs, case.seed)
    for slot, start, end in case.runs:
        for row in range(start, end):
            run = torch.tensor([(slot, 0, 1)], dtype=torch.int32)
            kernels.small_rank([(x[row][None], alone[row][None], parts.numbers)], run)
    with team(kernels, count):
        runs = torch.tensor(case.runs, dtype=torch.int32)
        kernels.small_rank([(x, together, parts.numbers)], runs)
    assert torch.equal(together, alone)


@settings(max_examples=60, deadline=None)
@given(
    length=st.integers(1, 90),
    cuts=st.lists(st.integers(1, 89), max_size=6),
    heads=st.sampled_from([(4, 4), (6, 2), (9, 3), (8, 1)]),
    width=st.sampled_from([2, 8, 16, 24, 64]),
    window=st.sampled_from([None, 1, 5, 16, 33, 64]),
    count=threads,
    seed=seeds,
)
def test_attention_in_chunks(
    kernels: Kernels,
    length: int,
    cuts: Sequence[int],
    heads: tuple[int, int],
    width: int,
    window: int | None,
    count: int,
    seed: int,
) -> None:
    """A sequence in one chunk, row by row, and cut anywhere while others attend beside it."""
    queries, keys = heads
    fused = draw(seed, kernels.dtype, length, (queries + 2 * keys) * width)
    bounds = sorted({0, length, *(cut for cut in cuts if cut < length)})
    chunks = list(pairwise(bounds))
    shapes = [[(0, length)], [(row, row + 1) for row in range(length)], chunks]
    found = [_attended(kernels, fused, (queries, keys, width), window, each) for each in shapes]
    with team(kernels, count):
        found.append(_attended(kernels, fused, (queries, keys, width), window, chunks, beside=3))
    assert all(torch.equal(each, found[0]) for each in found[1:])


def _attended(
    kernels: Kernels,
    fused: Tensor,
    heads: tuple[int, int, int],
    window: int | None,
    chunks: Sequence[tuple[int, int]],
    beside: int = 0,
) -> Tensor:
    """A sequence's rows [n, queries x width], attended chunk by chunk beside so many copies."""
    copies, blocks = 1 + beside, -(-len(fused) // BLOCK)
    sizes = kernels.cache_sizes(heads[2])
    cache = tuple(
        torch.zeros(copies * blocks, heads[1], size, dtype=kernels.dtype) for size in sizes
    )
    tables = torch.arange(copies * blocks, dtype=torch.int32)
    rows: list[Tensor] = []
    for start, end in chunks:
        packed = fused[start:end].repeat(copies, 1)
        places = [copy * blocks * BLOCK + at for copy in range(copies) for at in range(start, end)]
        kernels.place(
            packed, heads, (None, None), 0.0, None, torch.tensor(places, dtype=torch.int32),
            (cache[0], cache[1]),
        )  # fmt: skip
        numbers = [
            (copy * (end - start), end - start, start, copy * blocks) for copy in range(copies)
        ]
        out = kernels.attend(
            packed, heads, (cache[0], cache[1]), torch.tensor(numbers, dtype=torch.int32), tables,
            heads[2] ** -0.5, True, window,
        )  # fmt: skip
        rows.append(out[: end - start])
    return torch.cat(rows)


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(1, 40), width=st.integers(1, 70), count=threads, seed=seeds)
def test_what_is_done_to_each_row(
    kernels: Kernels, rows: int, width: int, count: int, seed: int
) -> None:
    x, y = (draw(seed + at, kernels.dtype, rows, 2 * width) for at in range(2))
    weight, bias = (draw(seed + at, torch.float32, 2 * width) for at in range(2))

    def all_of_it(x: Tensor, y: Tensor) -> Tensor:
        normed = kernels.add_norm(x.clone(), y, weight, 1e-5, bias)
        return torch.cat([normed, kernels.activate(x.clone(), 2), kernels.gate(x, 4)], dim=1)

    alone = torch.cat([all_of_it(x[row][None], y[row][None]) for row in range(rows)])
    with team(kernels, count):
        assert torch.equal(all_of_it(x, y), alone)


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(1, 9), width=st.integers(1, 100), count=threads, seed=seeds)
def test_likeliest(kernels: Kernels, rows: int, width: int, count: int, seed: int) -> None:
    """Coarse numbers, so that several are the greatest: the first of them counts."""
    x = draw(seed, torch.float32, rows, width).round().to(kernels.dtype)
    expected = x.float().argmax(dim=-1).tolist()
    with team(kernels, count):
        assert kernels.likeliest(x, [None] * rows) == expected


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(1, 5), width=st.integers(1, 100), count=threads, seed=seeds)
def test_likeliest_of_what_is_allowed(
    kernels: Kernels, rows: int, width: int, count: int, seed: int
) -> None:
    x = draw(seed, torch.float32, rows, width).round().to(kernels.dtype)
    allowed = draw(seed + 1, torch.float32, rows, width) > 1
    words = torch.zeros(rows, -(-width // 32) * 32, dtype=torch.int64)
    words[:, :width] = allowed
    bits = (words.view(rows, -1, 32) << torch.arange(32)).sum(dim=-1).to(torch.int32)
    left = x.float().masked_fill(~allowed, -torch.inf)
    none = ~allowed.any(dim=-1)
    expected = left.argmax(dim=-1).masked_fill(none, NONE_ALLOWED).tolist()
    expected[0] = int(x[0].float().argmax())
    with team(kernels, count):
        assert kernels.likeliest(x, [None, *bits[1:]]) == expected


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
@pytest.mark.parametrize("at", [0, 17, 69])
def test_no_token_is_the_likeliest_of_a_row_that_is_not_finite(
    kernels: Kernels, value: float, at: int
) -> None:
    x = draw(0, kernels.dtype, 3, 70)
    x[1, at] = value
    expected = x.float().argmax(dim=-1).tolist()
    assert kernels.likeliest(x, [None] * 3) == [expected[0], NOT_FINITE, expected[2]]
