"""The Triton kernels against float64 arithmetic in PyTorch.

Triton's interpreter runs them on the CPU, tile by tile; where there is a device it runs them too.
"""

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from triton.runtime import JITFunction
from triton.runtime.interpreter import InterpretedFunction

from deltas import small_rank
from deltas.bank import Place
from deltas.delta import Part
from deltas.kernels import triton_small_rank
from deltas.kernels.triton_kernels import DTYPES, TritonKernels, load_triton
from deltas.kinds.bottleneck import Bottleneck
from deltas.kinds.lora import Lora
from deltas.segments import Segment, Segments
from deltas.site import Role, Site
from tests.deltas.kernels.rounding import SUMMING, rounding
from tests.deltas.kernels.small_rank import Case, cases, check

DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
TARGETS = [(dtype, device) for device in DEVICES for dtype in DTYPES]

widths = st.integers(1, 40).map(lambda half: 2 * half)
wide = st.sampled_from([130, 1026])
"""More than a block of columns; more than one share of the inputs."""


@pytest.fixture(params=TARGETS, ids=lambda pair: f"{pair[1]}-{DTYPES[pair[0]]}", scope="module")
def kernels(request: pytest.FixtureRequest) -> Iterator[TritonKernels]:
    dtype, device = request.param
    with pytest.MonkeyPatch.context() as patch:
        if device == "cpu":
            for name, function in list(vars(triton_small_rank).items()):
                if isinstance(function, JITFunction):
                    patch.setattr(triton_small_rank, name, InterpretedFunction(function.fn))
        yield TritonKernels(dtype, device)


@settings(max_examples=15, deadline=None)
@given(case=cases(widths, widths))
def test_small_rank(kernels: TritonKernels, case: Case) -> None:
    check(kernels, case, kernels.device, loss=_loss(kernels))


@settings(max_examples=3, deadline=None)
@given(case=cases(wide, wide))
def test_small_rank_of_a_wide_site(kernels: TritonKernels, case: Case) -> None:
    check(kernels, case, kernels.device, loss=_loss(kernels))


def test_banks_put_their_parts_where_the_kernels_find_them(
    kernels: TritonKernels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against the same banks in float64, which has no kernels."""
    site = Site("site", Role.LINEAR, 48, 48)
    bottlenecks = [("down", (6, 48)), ("up", (48, 6)), ("down_bias", (6,)), ("up_bias", (48,))]
    loras = [("a", (20, 48)), ("b", (48, 20))]
    segments = Segments.of(Segment(slot, 4 * slot, 4 * slot + 4) for slot in (0, 1, 2, 3, 4))
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        numbers = torch.randn(shape, generator=generator).to(kernels.dtype)
        return numbers.to(kernels.device)

    def load(dtype: torch.dtype, device: str) -> TritonKernels | None:
        return kernels if (dtype, device) == (kernels.dtype, kernels.device) else None

    monkeypatch.setattr(small_rank, "load_kernels", load)
    for kind, shapes in ((Bottleneck(), bottlenecks), (Lora(), loras)):
        fast, plain = kind.bank(Place(site, None)), kind.bank(Place(site, None))
        for slot in (2, 3, 1, 4, 2):
            tensors = {name: draw(*shape) for name, shape in shapes}
            fast.put(slot, Part(kind.name, site.name, tensors))
            exact = {name: tensor.double() for name, tensor in tensors.items()}
            plain.put(slot, Part(kind.name, site.name, exact))
        fast.drop(3)
        plain.drop(3)
        x, y = draw(20, 48), draw(20, 48)
        with torch.inference_mode():
            expected = plain.apply(x.double(), y.double(), segments)
            found = fast.apply(x, y, segments)
        assert found is y
        # Of all numbers together: single ones may be small beside what they are sums of.
        strays = (found.double() - expected).norm() / expected.norm()
        assert strays < 2 * _loss(kernels) + SUMMING


def test_they_are_used_where_they_are_right(kernels: TritonKernels) -> None:
    assert load_triton(kernels.dtype, kernels.device) is not None
    assert load_triton(torch.float64, kernels.device) is None


def test_wrong_ones_are_not_used(
    kernels: TritonKernels, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(TritonKernels, "small_rank", lambda *_: None)
    assert load_triton(kernels.dtype, kernels.device) is None
    assert "wrong on this device" in caplog.text


def _loss(kernels: TritonKernels) -> float:
    """What rounding loses at most: Triton's interpreter cuts bfloat16 off instead."""
    cut = kernels.device == "cpu" and kernels.dtype is torch.bfloat16
    return (1 + cut) * rounding(kernels.dtype)
