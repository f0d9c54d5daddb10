"""Small-rank products of random runs, slots and ranks, against float64 arithmetic in PyTorch."""

from dataclasses import dataclass

import torch
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from deltas.activations import ACTIVATIONS
from deltas.kernels import SmallRankKernels
from deltas.kernels.library import ACTIVATIONS as NUMBERS

TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2, torch.float16: 2e-3}
"""As a share of the largest value: a few roundings of each type."""


@dataclass(frozen=True, slots=True)
class Case:
    """Runs (slot, start, end), and the rank of each slot from 1 on, 0 for none."""

    runs: list[tuple[int, int, int]]
    ranks: list[int]
    inputs: int
    outputs: int
    biased: bool
    activation: str | None
    seed: int


@st.composite
def runs_of_slots(draw_: st.DrawFn) -> list[tuple[int, int, int]]:
    """Runs in order, with gaps; slot 0 never has one."""
    at, runs = 0, list[tuple[int, int, int]]()
    for _ in range(draw_(st.integers(1, 6))):
        start = at + draw_(st.integers(0, 3))
        at = start + draw_(st.integers(1, 30))
        runs.append((draw_(st.integers(1, 6)), start, at))
    return runs


def cases(
    inputs: st.SearchStrategy[int], outputs: st.SearchStrategy[int]
) -> st.SearchStrategy[Case]:
    return st.builds(
        Case,
        runs=runs_of_slots(),
        ranks=st.lists(st.integers(0, 40), min_size=1, max_size=6),
        inputs=inputs,
        outputs=outputs,
        biased=st.booleans(),
        activation=st.sampled_from([None, *ACTIVATIONS]),
        seed=st.integers(0, 1000),
    )


def check(kernels: SmallRankKernels, case: Case, device: str = "cpu") -> None:
    def draw(seed: int, *shape: int) -> Tensor:
        numbers = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        return numbers.to(device, kernels.dtype)

    rows = case.runs[-1][2] + 2
    x, y = draw(case.seed, rows, case.inputs), draw(case.seed + 1, rows, case.outputs)
    expected = y.double()
    parts, kept = torch.zeros(1 + len(case.ranks), 6, dtype=torch.int64), list[object]()
    for slot, rank in enumerate(case.ranks, start=1):
        if not rank:
            continue
        a, b = (
            draw(case.seed + slot, rank, case.inputs),
            draw(-case.seed - slot, case.outputs, rank),
        )
        a_bias = draw(case.seed + 7, rank) if case.biased else None
        b_bias = draw(case.seed + 8, case.outputs) if case.biased else None
        packed = kernels.pack(a, a_bias), kernels.pack(b, b_bias)
        kept.append((packed, a_bias, b_bias))
        biases = [0 if bias is None else bias.data_ptr() for bias in (a_bias, b_bias)]
        addresses = [packed[0].data.data_ptr(), packed[1].data.data_ptr(), *biases]
        parts[slot] = torch.tensor([*addresses, rank, NUMBERS[case.activation or "none"]])
        for _, start, end in (run for run in case.runs if run[0] == slot):
            inner = functional.linear(x[start:end].double(), a.double(), _double(a_bias))
            inner = inner if case.activation is None else ACTIVATIONS[case.activation](inner)
            expected[start:end] += functional.linear(inner, b.double(), _double(b_bias))
    sites = [(x, y, parts.to(device))]
    kernels.small_rank(sites, torch.tensor(case.runs, dtype=torch.int32))
    close(y, expected)


def close(found: Tensor, expected: Tensor) -> None:
    bound = TOLERANCE[found.dtype] * max(1.0, float(expected.abs().max()))
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=bound)


def _double(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.double()
