"""Projections: modules that read the same rows, computed as one product."""

import pytest
import torch
from torch import nn

from deltas.kernels import Kernels, load_kernels
from deltas.wiring import Wiring
from server.model.projection import Projection
from tests.kernels import needs_kernels
from tests.server.engine.engines import tiny_base


@needs_kernels
@pytest.mark.parametrize("biased", [(False, False, False), (True, True, True), (True, False, True)])
def test_a_fused_product_is_its_modules_side_by_side(biased: tuple[bool, ...]) -> None:
    kernels = load_kernels(torch.float32)
    assert isinstance(kernels, Kernels)
    base = tiny_base("llama")
    modules = {
        f"{index}": nn.Linear(32, 8 + 5 * index, bias=each) for index, each in enumerate(biased)
    }
    x = torch.randn(7, 32)
    fused = Projection.of(kernels, modules, quantize=False)
    with torch.inference_mode():
        found = fused(kernels, Wiring(base.model, base.spec), x)
        expected = torch.cat([module(x) for module in modules.values()], dim=1)
    torch.testing.assert_close(found, expected)
    assert fused.ends == (8, 21, 39)
