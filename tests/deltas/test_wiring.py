"""The wiring: several kinds at one site, whatever came and went before."""

import pytest
import torch
from torch import Tensor

from deltas.base import describe
from deltas.delta import Delta, Part, TaskType
from deltas.kernels import Kernels
from deltas.segments import Segment, Segments
from deltas.wiring import Wiring
from tests.kernels import needs_kernels
from tests.models import tiny_model

SITE = "layers.0.self_attn.v_proj"
TOKENS = torch.arange(5, 17)


def _deltas(width: int, outputs: int) -> tuple[Delta, Delta]:
    """A scale alone, and a LoRA with a scale."""
    random = torch.Generator().manual_seed(0)
    a = torch.randn(2, width, generator=random)
    b = torch.randn(outputs, 2, generator=random)
    scale = Part("ia3", SITE, {"scale": torch.randn(outputs, generator=random)})
    lora = Part("lora", SITE, {"a": a, "b": b})
    return Delta(TaskType.GENERATE, (scale,)), Delta(TaskType.GENERATE, (lora, scale))


@torch.no_grad()
def test_kinds_at_one_site_act_in_one_order() -> None:
    model = tiny_model("llama")
    base = describe(model, "tiny")
    scale, both = _deltas(base.sites[SITE].inputs, base.sites[SITE].outputs)

    def states(wiring: Wiring, slot: int) -> Tensor:
        wiring.install(slot, both)
        wiring.bind(Segments.of([Segment(slot, 0, len(TOKENS))]))
        found = model.base_model(TOKENS[None]).last_hidden_state
        wiring.remove(slot)
        return found

    bare = model.base_model(TOKENS[None]).last_hidden_state
    wiring = Wiring(model, base)
    alone = states(wiring, 1)
    wiring.install(1, scale)
    torch.testing.assert_close(states(wiring, 2), alone, rtol=0, atol=0)
    wiring.remove(1)
    torch.testing.assert_close(
        model.base_model(TOKENS[None]).last_hidden_state, bare, rtol=0, atol=0
    )


@needs_kernels
@torch.no_grad()
def test_what_was_prepared_is_installed_without_being_packed_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = tiny_model("llama")
    base = describe(model, "tiny")
    _, both = _deltas(base.sites[SITE].inputs, base.sites[SITE].outputs)
    wiring = Wiring(model, base)
    wiring.install(1, both)
    wiring.bind(Segments.of([Segment(1, 0, len(TOKENS))]))
    expected = model.base_model(TOKENS[None]).last_hidden_state
    prepared = wiring.prepare(both)
    monkeypatch.delattr(Kernels, "pack")
    wiring.install(2, prepared)
    wiring.remove(1)
    wiring.bind(Segments.of([Segment(2, 0, len(TOKENS))]))
    found = model.base_model(TOKENS[None]).last_hidden_state
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert prepared.bytes >= both.bytes
