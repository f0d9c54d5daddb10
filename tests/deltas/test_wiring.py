"""The wiring: several kinds at one site, whatever came and went before."""

import torch
from torch import Tensor

from deltas.base import describe
from deltas.delta import Delta, Part, TaskType
from deltas.segments import Segment, Segments
from deltas.wiring import Wiring
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
