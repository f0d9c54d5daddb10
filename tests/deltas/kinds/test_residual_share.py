"""Bottlenecks that read a residual sum where a base multiplies what is added to it."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from deltas.base import describe
from deltas.delta import Delta, Part, TaskType
from deltas.segments import Segment, Segments
from deltas.wiring import Wiring
from tests.models import tiny_model

SHARE = 0.5
IDS = torch.arange(5, 25)[None]


def part(site: str) -> Part:
    generator = torch.Generator().manual_seed(3)
    shapes = {"down": (6, 32), "down_bias": (6,), "up": (32, 6), "up_bias": (32,)}
    tensors = {
        name: torch.empty(shape).normal_(std=0.3, generator=generator)
        for name, shape in shapes.items()
    }
    return Part("bottleneck", site, tensors, {"norm_before": True})


def adapt(layer: nn.Module, tensors: dict[str, Tensor]) -> None:
    """The adapter written out in a plain model: what it reads is the sum that the layer makes."""
    residual: list[Tensor] = []

    def keep(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        residual[:] = [inputs[0]]

    def adapted(_: nn.Module, __: object, y: Tensor) -> Tensor:
        sum_ = residual[0] + SHARE * y
        inner = torch.relu(sum_ @ tensors["down"].T + tensors["down_bias"])
        return y + inner @ tensors["up"].T + tensors["up_bias"]

    layer.get_submodule("post_attention_layernorm").register_forward_pre_hook(keep)
    layer.get_submodule("mlp").register_forward_hook(adapted)


@torch.no_grad()
@pytest.mark.parametrize("share", [SHARE, 1.0])
def test_the_sum_is_the_layers_own(share: float) -> None:
    settings: dict[str, Any] = {"residual_multiplier": share}
    model, plain = (tiny_model("granite", **settings) for _ in range(2))
    base = describe(model, "tiny-granite")
    site = part("layers.0.after_feed_forward")
    wiring = Wiring(model, base)
    wiring.install(1, Delta(TaskType.GENERATE, (site,)))
    wiring.bind(Segments.of([Segment(1, 0, IDS.shape[1])]))
    bare = plain(IDS).logits
    adapt(plain.base_model.get_submodule("layers.0"), dict(site.tensors))
    found, expected = model(IDS).logits, plain(IDS).logits
    assert (expected - bare).abs().max() > 0.1
    same = torch.allclose(found, expected, rtol=0, atol=1e-5)
    assert same == (share == SHARE)
