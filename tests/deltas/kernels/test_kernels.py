"""The kernels of every instruction set that runs here, against float64 arithmetic in PyTorch."""

import math
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from deltas.activations import ACTIVATIONS
from deltas.kernels import Kernels, library, load_kernels
from deltas.kernels.build import BUILT, find_compiler
from deltas.kernels.library import ACTIVATIONS as NUMBERS
from deltas.kernels.library import DTYPES, SWITCH, Packed, usable
from server.model.cache import BLOCK
from tests.deltas.kernels.small_rank import Case, Parts, cases, check, close, draw

VARIANTS = [
    (name, dtype) for name in usable() if (BUILT / f"{name}.so").is_file() for dtype in DTYPES
]
MULTIPLY_BYTES = ("amx", "avx512_bf16", "avx512_vnni")

sizes = st.integers(1, 70)
even = st.integers(1, 40).map(lambda half: 2 * half)
seeds = st.integers(0, 1000)


@pytest.fixture(params=VARIANTS, ids=lambda pair: f"{pair[0]}-{DTYPES[pair[1]]}", scope="module")
def kernels(request: pytest.FixtureRequest) -> Kernels:
    name, dtype = request.param
    return Kernels(BUILT / f"{name}.so", dtype)


def test_a_compiler_leaves_no_machine_without_kernels() -> None:
    assert load_kernels(torch.float32) is not None or find_compiler() is None


def test_without_the_matrix_units_registers_the_next_widest_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    others = [name for name in usable() if name != "amx"]
    monkeypatch.setattr(library, "may_use_tiles", lambda: False)
    assert usable() == others


def test_they_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, "off")
    load_kernels.cache_clear()
    assert load_kernels(torch.float32) is None
    load_kernels.cache_clear()


@settings(max_examples=40, deadline=None)
@given(
    rows=sizes,
    inputs=st.one_of(even, st.sampled_from([1536, 5000])),
    outputs=st.integers(1, 200),
    biased=st.booleans(),
    seed=seeds,
)
def test_linear(
    kernels: Kernels, rows: int, inputs: int, outputs: int, biased: bool, seed: int
) -> None:
    x, w = draw(seed, kernels.dtype, rows, inputs), draw(seed + 1, kernels.dtype, outputs, inputs)
    bias = draw(seed + 2, kernels.dtype, outputs) if biased else None
    expected = functional.linear(x.double(), w.double(), None if bias is None else bias.double())
    close(kernels.linear(x, kernels.pack(w, bias)), expected)


@settings(max_examples=60, deadline=None)
@given(
    rows=sizes,
    inputs=st.one_of(even, st.sampled_from([578, 1536])),
    outputs=sizes,
    magnitude=st.sampled_from([0.0, 1e-38, 1.0, 1e30]),
    biased=st.booleans(),
    seed=seeds,
)
def test_linear_over_bytes(
    kernels: Kernels,
    rows: int,
    inputs: int,
    outputs: int,
    magnitude: float,
    biased: bool,
    seed: int,
) -> None:
    """Rows of all magnitudes, apart in memory, lose at most half a step of 16 bits."""
    x = draw(seed, torch.float32, rows, inputs + 6)
    x[seed % rows] *= magnitude
    x = x.to(kernels.dtype)[:, 2:-4]
    w = draw(seed + 1, kernels.dtype, outputs, inputs)
    bias = draw(seed + 2, kernels.dtype, outputs) if biased else None
    packed = kernels.pack_bytes(w, bias)
    rounded = as_rounded(packed, w)
    assert (rounded - w.double()).abs().max() <= rounded.abs().max() / 127 / 2 + 1e-6
    expected = functional.linear(x.double(), rounded, _double(bias))
    found = kernels.linear(x, packed)
    steps = x.double().abs().amax(dim=1, keepdim=True) / 32000 + 1e-37
    bound = steps / 2 * rounded.abs().sum(dim=1) + 1e-6 * (x.double().abs() @ rounded.abs().T + 1)
    bound += torch.finfo(kernels.dtype).eps / 2 * (expected.abs() + bound)
    assert ((found.double() - expected).abs() <= bound).all()


def as_rounded(packed: Packed, w: Tensor) -> Tensor:
    """The weights that bytes stand for, in float64."""
    assert packed.scales is not None
    scales = packed.scales[: len(w), None]
    return (w.float() / scales).round().double() * scales.double()


@settings(max_examples=20, deadline=None)
@given(rows=st.integers(2, 30), at=st.integers(0, 29), inputs=even, outputs=sizes, seed=seeds)
@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_a_row_that_is_not_finite_stays_alone_over_bytes(
    kernels: Kernels, value: float, rows: int, at: int, inputs: int, outputs: int, seed: int
) -> None:
    x, w = draw(seed, kernels.dtype, rows, inputs), draw(seed + 1, kernels.dtype, outputs, inputs)
    packed, at = kernels.pack_bytes(w), at % rows
    sound = kernels.linear(x, packed)
    x[at, seed % inputs] = value
    found = kernels.linear(x, packed)
    others = torch.arange(rows) != at
    assert torch.equal(found[others], sound[others])
    assert not found[at].isfinite().any()


@settings(max_examples=20, deadline=None)
@given(rows=sizes, inputs=even, outputs=sizes, seed=seeds)
def test_multiplied_as_bytes_a_row_is_the_same_in_any_company(
    kernels: Kernels, rows: int, inputs: int, outputs: int, seed: int
) -> None:
    if kernels.variant not in MULTIPLY_BYTES:
        pytest.skip("widens bytes")
    x, w = draw(seed, kernels.dtype, rows, inputs), draw(seed + 1, kernels.dtype, outputs, inputs)
    packed = kernels.pack_bytes(w)
    alone = torch.cat([kernels.linear(row[None], packed) for row in x])
    assert torch.equal(kernels.linear(x, packed), alone)


def test_a_transposed_matrix_is_packed_as_it_reads(kernels: Kernels) -> None:
    x, w = draw(0, kernels.dtype, 3, 34), draw(1, kernels.dtype, 34, 50)
    close(kernels.linear(x, kernels.pack(w.T)), x.double() @ w.double())


@settings(max_examples=60, deadline=None)
@given(case=cases(even, sizes))
def test_small_rank(kernels: Kernels, case: Case) -> None:
    check(kernels, case)


@settings(max_examples=60, deadline=None)
@given(
    case=cases(even, sizes),
    widths=st.lists(st.sampled_from([32, 64, 96, 7, 40]), min_size=1, max_size=3),
    without=st.integers(0, 3),
    rounded=st.booleans(),
)
def test_linear_with_parts(
    kernels: Kernels, case: Case, widths: list[int], without: int, rounded: bool
) -> None:
    """Several sites side by side, perhaps one of them without parts, in whole panels or not."""
    rows, outputs = case.runs[-1][2] + 2, sum(widths)
    x = draw(case.seed, kernels.dtype, rows, case.inputs)
    w = draw(case.seed + 1, kernels.dtype, outputs, case.inputs)
    bias = draw(case.seed + 2, kernels.dtype, outputs)
    packed = kernels.pack_bytes(w, bias) if rounded else kernels.pack(w, bias)
    expected = kernels.linear(x, packed).double()
    slack = torch.zeros_like(expected)
    additions, kept, first = list[tuple[int, int, int, int]](), list[Parts](), 0
    for index, width in enumerate(widths):
        if index != without:
            parts = Parts(kernels, case, width, case.seed + 100 * index)
            columns = slice(first, first + width)
            slack[:, columns] = parts.add(case, x, expected[:, columns])
            kept.append(parts)
            numbers = parts.numbers
            additions.append((numbers.data_ptr(), len(numbers), first, width))
        first += width
    added = torch.tensor(additions, dtype=torch.int64).view(-1, 4)
    runs = torch.tensor(case.runs, dtype=torch.int32)
    close(kernels.linear(x, packed, (added, runs)), expected, slack)


@settings(max_examples=25, deadline=None)
@given(rows=sizes, width=sizes, added=st.booleans(), centred=st.booleans(), seed=seeds)
def test_add_norm(
    kernels: Kernels, rows: int, width: int, added: bool, centred: bool, seed: int
) -> None:
    x = draw(seed, kernels.dtype, rows, width)
    y = draw(seed + 1, kernels.dtype, rows, width) if added else None
    weight = draw(seed + 2, torch.float32, width)
    total = x.double() if y is None else (x.double() + y.double()).to(kernels.dtype).double()
    expected, bias = functional.rms_norm(total, (width,), weight.double(), 1e-5), None
    if centred:
        bias = draw(seed + 3, torch.float32, width)
        expected = functional.layer_norm(total, (width,), weight.double(), bias.double(), 1e-2)
    close(kernels.add_norm(x, y, weight, 1e-2 if centred else 1e-5, bias), expected)
    close(x, total)


@settings(max_examples=25, deadline=None)
@given(rows=sizes, width=sizes, activation=st.sampled_from(sorted(ACTIVATIONS)), seed=seeds)
def test_activate(kernels: Kernels, rows: int, width: int, activation: str, seed: int) -> None:
    x = 4 * draw(seed, kernels.dtype, rows, width)
    expected = ACTIVATIONS[activation](x.double())
    found = kernels.activate(x, NUMBERS[activation])
    assert found is x
    close(found, expected)


@settings(max_examples=25, deadline=None)
@given(rows=sizes, width=sizes, activation=st.sampled_from(sorted(ACTIVATIONS)), seed=seeds)
def test_gate(kernels: Kernels, rows: int, width: int, activation: str, seed: int) -> None:
    x = 4 * draw(seed, kernels.dtype, rows, 2 * width)
    left, right = x.double().chunk(2, dim=1)
    close(kernels.gate(x, NUMBERS[activation]), ACTIVATIONS[activation](left) * right)


@pytest.mark.parametrize("name", ["silu", "gelu", "gelu_new"])
def test_extreme_values_are_as_pytorch_has_them(kernels: Kernels, name: str) -> None:
    extremes = [math.inf, math.nan, 100.0, 88.0, 1e4, 1e30, -100.0, -88.0, -1e4, -1e30, 0.0]
    x = torch.tensor([extremes]).to(kernels.dtype)
    expected = ACTIVATIONS[name](x.double()).float()
    gated = kernels.gate(torch.cat([x, torch.ones_like(x)], dim=1), NUMBERS[name])
    for found in (gated, kernels.activate(x.clone(), NUMBERS[name])):
        torch.testing.assert_close(found.float(), expected, rtol=1e-2, atol=1e-30, equal_nan=True)


def rotated(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotary embedding of x [rows, heads, width] as its paper has it, halves being the parts."""
    real, imaginary = x.chunk(2, dim=-1)
    turned = torch.cat([-imaginary, real], dim=-1)
    return x * cosine[:, None] + turned * sine[:, None]


@settings(max_examples=40, deadline=None)
@given(
    chunks=st.lists(st.tuples(st.integers(1, 40), st.integers(0, 40)), min_size=1, max_size=4),
    heads=st.sampled_from([(4, 4), (6, 2), (9, 3), (8, 1)]),
    width=st.sampled_from([2, 8, 16, 24, 64]),
    window=st.sampled_from([None, 1, 5, 16, 33]),
    causal=st.booleans(),
    turned=st.booleans(),
    seed=seeds,
)
def test_attention(
    kernels: Kernels,
    chunks: Sequence[tuple[int, int]],
    heads: tuple[int, int],
    width: int,
    window: int | None,
    causal: bool,
    turned: bool,
    seed: int,
) -> None:
    """Every sequence is placed in two steps, its blocks scattered amid blocks of NaN."""
    window = window if causal else None
    queries, keys = heads
    generator = torch.Generator().manual_seed(seed)
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
    angles = [torch.rand(n, width, generator=generator) for n in lengths]
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
        width**-0.5, causal, window,
    )  # fmt: skip
    expected: list[Tensor] = []
    for (rows, context), values, turns in zip(chunks, whole, angles, strict=True):
        q, k, v = (
            part.view(len(values), -1, width)
            for part in values.double().split([queries * width, keys * width, keys * width], dim=1)
        )
        if turned:
            q, k = (rotated(each, turns.double().cos(), turns.double().sin()) for each in (q, k))
        at = torch.arange(len(values))
        mask = at <= at[:, None] if causal else torch.ones(len(at), len(at), dtype=torch.bool)
        mask = mask if window is None else mask & (at > at[:, None] - window)
        answer = functional.scaled_dot_product_attention(
            q.transpose(0, 1), k.transpose(0, 1), v.transpose(0, 1), mask, enable_gqa=True
        )
        expected.append(answer.transpose(0, 1)[context:].flatten(1))
        assert rows == len(expected[-1])
    close(found, torch.cat(expected))


def test_the_sources_are_shipped_where_they_are_built() -> None:
    assert (Path(BUILT).parent / "kernels.cpp").is_file()


def _double(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.double()
