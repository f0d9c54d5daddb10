"""Layers whose sub-blocks are added to one residual, or each to its own: what adapters see."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoModelForCausalLM, PreTrainedModel

from deltas.base import BaseSpec, describe
from deltas.delta import Delta, Part, TaskType
from deltas.kinds import Extent, kind_named
from server.model.base import Base
from server.model.batch import Item
from server.model.runner import Runner
from tests.models import seeded, tiny_config
from tests.server.engine.engines import tiny_tokenizer
from tests.server.engine.references import TOLERANCE

_BLOCKS = 4
_TOKENS = torch.arange(5, 25)

_LAYOUTS: list[tuple[str, bool, dict[str, Any]]] = [
    ("cohere", True, {}),
    ("cohere2", True, {}),
    ("phi", True, {}),
    ("gpt_neox", True, {"use_parallel_residual": True}),
    ("gpt_neox", False, {"use_parallel_residual": False}),
    ("stablelm", True, {"use_parallel_residual": True}),
    ("stablelm", False, {"use_parallel_residual": False}),
    ("falcon", True, {"parallel_attn": True}),
    ("falcon", True, {"parallel_attn": True, "new_decoder_architecture": True, "alibi": False}),
    ("falcon", False, {"parallel_attn": False}),
]


def _model(family: str, settings: dict[str, Any]) -> PreTrainedModel:
    config = type(tiny_config(family)).from_dict(tiny_config(family).to_dict() | settings)
    return seeded(AutoModelForCausalLM.from_config(config), seed=0)


def _adapters(base: BaseSpec) -> dict[str, Part]:
    """One after each sub-block, by its site, which reads the sum with the residual."""
    kind = kind_named("bottleneck")
    generator = torch.Generator().manual_seed(11)
    parts: dict[str, Part] = {}
    for site in kind.sites(base, {"after_attention": True}):
        tensors = kind.create(site, {"size": 6}, generator)
        for tensor in tensors.values():
            tensor.normal_(std=0.3, generator=generator)
        parts[site.name] = Part(kind.name, site.name, tensors, {"norm_before": True})
    return parts


def _adapted(tensors: Any, x: Tensor, y: Tensor) -> Tensor:
    inner = functional.linear(x + y, tensors["down"], tensors["down_bias"]).relu()
    return y + functional.linear(inner, tensors["up"], tensors["up_bias"])


def _write_out(layer: nn.Module, base: BaseSpec, parts: list[Part], *, parallel: bool) -> None:
    """The same adapters by hand, on a plain model's layer."""
    attention, feed_forward = (part.tensors for part in parts)
    residual: list[Tensor] = []

    def enter(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        residual[:] = inputs[:1]

    def attended(_: nn.Module, inputs: object, output: Any) -> Any:
        y = output[0] if isinstance(output, tuple) else output
        y = _adapted(attention, residual[0], y)
        if not parallel:
            residual[0] = residual[0] + y
        return (y, *output[1:]) if isinstance(output, tuple) else y

    def fed(_: nn.Module, inputs: object, output: Tensor) -> Tensor:
        return _adapted(feed_forward, residual[0], output)

    layer.register_forward_pre_hook(enter)
    layer.get_submodule(base.family.after_attention.output).register_forward_hook(attended)
    layer.get_submodule(base.family.after_feed_forward.output).register_forward_hook(fed)


@pytest.mark.parametrize(("family", "parallel", "settings"), _LAYOUTS)
@torch.no_grad()
def test_an_adapter_reads_the_sum_of_its_own_sub_block(
    family: str, parallel: bool, settings: dict[str, Any]
) -> None:
    model, plain = _model(family, settings), _model(family, settings)
    base = describe(model, family)
    parts = _adapters(base)
    bare = plain(_TOKENS[None]).logits[0, -1]
    for path in base.layer_paths:
        own = [part for site, part in parts.items() if site.startswith(f"{path}.")]
        _write_out(plain.base_model.get_submodule(path), base, own, parallel=parallel)
    expected = plain(_TOKENS[None]).logits[0, -1]
    assert (expected - bare).abs().max() > 100 * TOLERANCE
    runner = Runner(Base(base, model, tiny_tokenizer()), _BLOCKS)
    runner.wiring.install(1, Delta(TaskType.GENERATE, tuple(parts.values())))
    item = Item(1, _TOKENS.tolist(), 0, Extent(), range(_BLOCKS), wants_logits=True)
    torch.testing.assert_close(runner.forward([item]).logits[0], expected, rtol=0, atol=TOLERANCE)
