"""The kernels of every instruction set that runs here, against float64 arithmetic in PyTorch."""

import math
from pathlib import Path

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from deltas.activations import ACTIVATIONS
from deltas.kernels import Kernels, load_kernels, loading
from deltas.kernels.backend import ACTIVATIONS as NUMBERS
from deltas.kernels.backend import Packed
from deltas.kernels.build import BUILT, find_compiler
from deltas.kernels.loading import SWITCH, usable
from tests.deltas.kernels.rounding import SUMMING, close, rounding, terms
from tests.deltas.kernels.small_rank import Case, Parts, cases, check, draw

MULTIPLY_BYTES = ("amx", "avx512_bf16", "avx512_vnni")

sizes = st.integers(1, 70)
even = st.integers(1, 40).map(lambda half: 2 * half)
seeds = st.integers(0, 1000)


def test_a_compiler_leaves_no_machine_without_kernels() -> None:
    assert load_kernels(torch.float32) is not None or find_compiler() is None


def test_without_the_matrix_units_registers_the_next_widest_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    others = [name for name in usable() if name != "amx"]
    monkeypatch.setattr(loading, "may_use_tiles", lambda: False)
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
@example(rows=1, inputs=5000, outputs=1, biased=False, seed=281)
@example(rows=1, inputs=5000, outputs=1, biased=False, seed=418)
def test_linear(
    kernels: Kernels, rows: int, inputs: int, outputs: int, biased: bool, seed: int
) -> None:
    x, w = draw(seed, kernels.dtype, rows, inputs), draw(seed + 1, kernels.dtype, outputs, inputs)
    bias = draw(seed + 2, kernels.dtype, outputs) if biased else None
    expected = functional.linear(x.double(), w.double(), None if bias is None else bias.double())
    close(kernels.linear(x, kernels.pack(w, bias)), expected, SUMMING * terms(x, w, bias))


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
    slack = steps / 2 * rounded.abs().sum(dim=1) + SUMMING * (terms(x, rounded, bias) + 1)
    close(found, expected, slack * (1 + rounding(kernels.dtype)))


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
    expected = x.double() @ w.double()
    close(kernels.linear(x, kernels.pack(w.T)), expected, SUMMING * terms(x, w.T, None))


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
    # One adds to what was rounded, the other to its sums before they are.
    loss = rounding(kernels.dtype)
    slack = loss * expected.abs() + 2 * SUMMING * terms(x, w, bias)
    additions, kept, first = list[tuple[int, int, int, int]](), list[Parts](), 0
    for index, width in enumerate(widths):
        if index != without:
            parts = Parts(kernels, case, width, case.seed + 100 * index)
            columns = slice(first, first + width)
            slack[:, columns] += parts.add(case, x, expected[:, columns], loss)
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
    slack = SUMMING * expected.abs()
    if centred:
        bias = draw(seed + 3, torch.float32, width)
        expected = functional.layer_norm(total, (width,), weight.double(), bias.double(), 1e-2)
        # Where a row's values are nearly equal, little is left of them without their mean.
        sizes = total.abs() + total.abs().mean(dim=1, keepdim=True)
        sizes /= (total.var(dim=1, correction=0, keepdim=True) + 1e-2).sqrt()
        slack = SUMMING * ((1 + sizes.amax()) * sizes * weight.abs() + bias.abs())
    close(kernels.add_norm(x, y, weight, 1e-2 if centred else 1e-5, bias), expected, slack)
    assert torch.equal(x.double(), total)


@settings(max_examples=10, deadline=None)
@given(rows=sizes, width=sizes, seed=seeds)
def test_add(kernels: Kernels, rows: int, width: int, seed: int) -> None:
    x, y = (draw(seed + at, kernels.dtype, rows, width) for at in range(2))
    expected = (x.double() + y.double()).to(kernels.dtype)
    assert kernels.add(x, y) is x
    assert torch.equal(x, expected)


@settings(max_examples=10, deadline=None)
@given(rows=sizes, keys=st.integers(1, 4), group=st.integers(1, 3), width=sizes, seed=seeds)
def test_ungroup(kernels: Kernels, rows: int, keys: int, group: int, width: int, seed: int) -> None:
    fused = draw(seed, kernels.dtype, rows, keys * (group + 2) * width)
    heads = fused.view(rows, keys, group + 2, width)
    parts = (heads[:, :, :-2], heads[:, :, -2], heads[:, :, -1])
    expected = torch.cat([part.flatten(1) for part in parts], dim=1)
    assert torch.equal(kernels.ungroup(fused, (keys * group, keys, width)), expected)


@settings(max_examples=25, deadline=None)
@given(rows=sizes, width=sizes, activation=st.sampled_from(sorted(ACTIVATIONS)), seed=seeds)
def test_activate(kernels: Kernels, rows: int, width: int, activation: str, seed: int) -> None:
    x = 4 * draw(seed, kernels.dtype, rows, width)
    expected, slack = ACTIVATIONS[activation](x.double()), SUMMING * x.double().abs()
    found = kernels.activate(x, NUMBERS[activation])
    assert found is x
    close(found, expected, slack)


@settings(max_examples=25, deadline=None)
@given(rows=sizes, width=sizes, activation=st.sampled_from(sorted(ACTIVATIONS)), seed=seeds)
def test_gate(kernels: Kernels, rows: int, width: int, activation: str, seed: int) -> None:
    x = 4 * draw(seed, kernels.dtype, rows, 2 * width)
    left, right = x.double().chunk(2, dim=1)
    expected, slack = ACTIVATIONS[activation](left) * right, SUMMING * (left * right).abs()
    close(kernels.gate(x, NUMBERS[activation]), expected, slack)


@pytest.mark.parametrize("name", ["silu", "gelu", "gelu_new"])
def test_extreme_values_are_as_pytorch_has_them(kernels: Kernels, name: str) -> None:
    extremes = [math.inf, math.nan, 100.0, 88.0, 1e4, 1e30, -100.0, -88.0, -1e4, -1e30, 0.0]
    x = torch.tensor([extremes]).to(kernels.dtype)
    expected = ACTIVATIONS[name](x.double()).float()
    gated = kernels.gate(torch.cat([x, torch.ones_like(x)], dim=1), NUMBERS[name])
    for found in (gated, kernels.activate(x.clone(), NUMBERS[name])):
        torch.testing.assert_close(found.float(), expected, rtol=1e-2, atol=1e-30, equal_nan=True)


def test_the_sources_are_shipped_where_they_are_built() -> None:
    assert (Path(BUILT).parent / "kernels.cpp").is_file()


def _double(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.double()
