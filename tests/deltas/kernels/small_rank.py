"""Small-rank products of random runs, slots and ranks, against float64 arithmetic in PyTorch."""

from dataclasses import dataclass, replace

import torch
from hypothesis import strategies as st
from torch import Tensor

from deltas.activations import ACTIVATIONS
from deltas.kernels import SmallRankKernels
from deltas.kernels.backend import ACTIVATIONS as NUMBERS
from deltas.small_rank import Factors
from tests.deltas.kernels.rounding import SUMMING, near, rounding, terms


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


class Parts:
    """Random parts of one site by slot, as the kernels read them and in float64."""

    def __init__(
        self, kernels: SmallRankKernels, case: Case, outputs: int, seed: int, device: str = "cpu"
    ) -> None:
        self.numbers = torch.zeros(1 + len(case.ranks), 6, dtype=torch.int64)
        self._exact: dict[int, Factors] = {}
        self._kept: list[object] = []
        for slot, rank in enumerate(case.ranks, start=1):
            if not rank:
                continue
            a = draw(seed + slot, kernels.dtype, rank, case.inputs).to(device)
            b = draw(-seed - slot, kernels.dtype, outputs, rank).to(device)
            a_bias = draw(seed + 7, kernels.dtype, rank).to(device) if case.biased else None
            b_bias = draw(seed + 8, kernels.dtype, outputs).to(device) if case.biased else None
            packed = kernels.pack(a, a_bias), kernels.pack(b, b_bias)
            self._kept.append((packed, a_bias, b_bias))
            biases = [0 if bias is None else bias.data_ptr() for bias in (a_bias, b_bias)]
            addresses = [packed[0].data.data_ptr(), packed[1].data.data_ptr(), *biases]
            number = NUMBERS[case.activation or "none"]
            self.numbers[slot] = torch.tensor([*addresses, rank, number])
            exact = (None if each is None else each.double() for each in (a_bias, b_bias))
            self._exact[slot] = Factors(a.double(), b.double(), *exact, case.activation)
        self.numbers = self.numbers.to(device)

    def add(self, case: Case, x: Tensor, expected: Tensor, loss: float) -> Tensor:
        """Add what the parts make of x to float64 rows.

        Returns what float32 may lose of that, and what rounding between the factors does, which
        loses `loss` of a number.
        """
        slack = torch.zeros_like(expected)
        for slot, start, end in case.runs:
            if slot in self._exact:
                exact, rows = self._exact[slot], x[start:end].double()
                expected[start:end] += exact(rows)
                slack[start:end] = _slack(exact, rows, loss)
        return slack


def _slack(exact: Factors, x: Tensor, loss: float) -> Tensor:
    nothing = torch.eye(len(exact.a), dtype=torch.float64, device=x.device)
    inner = replace(exact, b=nothing, b_bias=None)(x)
    lost = loss * inner.abs() + SUMMING * terms(x, exact.a, exact.a_bias)
    return lost @ exact.b.abs().T + SUMMING * terms(inner, exact.b, exact.b_bias)


def draw(seed: int, dtype: torch.dtype, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def check(
    kernels: SmallRankKernels, case: Case, device: str = "cpu", loss: float | None = None
) -> None:
    rows = case.runs[-1][2] + 2
    x = draw(case.seed, kernels.dtype, rows, case.inputs).to(device)
    y = draw(case.seed + 1, kernels.dtype, rows, case.outputs).to(device)
    expected = y.double()
    parts = Parts(kernels, case, case.outputs, case.seed, device)
    loss = rounding(kernels.dtype) if loss is None else loss
    slack = parts.add(case, x, expected, loss) + SUMMING * y.abs()
    kernels.small_rank([(x, y, parts.numbers)], torch.tensor(case.runs, dtype=torch.int32))
    near(y, expected, slack + loss * expected.abs())
