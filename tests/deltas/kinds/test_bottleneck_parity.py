"""Bottleneck adapters against AdapterHub's library, on every family that it supports."""

import re
from collections import defaultdict

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from transformers.activations import get_activation

from deltas.activations import ACTIVATIONS
from deltas.base import AFTER_ATTENTION, AFTER_FEED_FORWARD, describe
from deltas.delta import Delta, Part, TaskType
from deltas.families import FAMILIES
from deltas.kinds import check
from deltas.kinds.head import BARE_ENCODER
from deltas.segments import BASE_SLOT, Segment, Segments
from deltas.wiring import Wiring
from tests.deltas.kinds.adapterhub import base_model, config, examples, weights
from tests.models import DECODERS, ENCODERS

SLOT = 2
TOLERANCE = 1e-5
EFFECT = 0.05
KEY = re.compile(r".*\b(?P<layer>\d+)\.(?P<block>[a-z_.]+)\.adapters\.task\.(?P<tensor>.+)")
TENSORS = {
    "adapter_down.0.weight": "down",
    "adapter_down.0.bias": "down_bias",
    "adapter_up.weight": "up",
    "adapter_up.bias": "up_bias",
}


def delta(family: str, method: str) -> Delta:
    """The library's adapter in our terms."""
    settings = config(family, method)
    options = {
        "activation": settings["non_linearity"],
        "norm_before": settings["original_ln_before"],
    }
    sites: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for name, tensor in weights(family, method).items():
        key = KEY.fullmatch(name)
        assert key is not None, name
        block = AFTER_ATTENTION if key["block"].startswith("attention") else AFTER_FEED_FORWARD
        site = f"{FAMILIES[family].layers}.{key['layer']}.{block}"
        sites[site][TENSORS[key["tensor"]]] = tensor
    parts = (Part("bottleneck", site, tensors, options) for site, tensors in sites.items())
    if FAMILIES[family].causal:
        return Delta(TaskType.GENERATE, tuple(parts))
    return Delta(TaskType.EMBED, (*parts, *BARE_ENCODER.parts))


@pytest.mark.parametrize("method", ["seq_bn", "double_seq_bn"])
@pytest.mark.parametrize("family", [*DECODERS, *ENCODERS])
@torch.no_grad()
def test_the_library_computes_the_same(family: str, method: str) -> None:
    model = base_model(family)
    base = describe(model, family)
    adapter = delta(family, method)
    check(adapter, base)
    wiring = Wiring(model, base)
    for example in examples(family, method):
        bare = model.base_model(example.ids[None]).last_hidden_state[0]
        wiring.install(SLOT, adapter)
        rows = len(example.ids)
        slots = (BASE_SLOT, SLOT, BASE_SLOT)
        wiring.bind(
            Segments.of(Segment(slot, at * rows, (at + 1) * rows) for at, slot in enumerate(slots))
        )
        batch = example.ids.expand(len(slots), -1)
        hidden = model.base_model(batch).last_hidden_state
        assert (hidden[1] - bare).abs().max() > EFFECT
        torch.testing.assert_close(hidden[1], example.hidden, rtol=0, atol=TOLERANCE)
        torch.testing.assert_close(hidden[[0, 2]], bare.expand(2, -1, -1), rtol=0, atol=TOLERANCE)
        if example.logits is not None:
            logits = model(batch).logits[1]
            torch.testing.assert_close(logits, example.logits, rtol=0, atol=TOLERANCE)
        wiring.remove(SLOT)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_mean_what_the_library_takes_them_for(name: str) -> None:
    expected = functional.leaky_relu if name == "leakyrelu" else get_activation(name)
    values = torch.linspace(-4, 4, 33)
    torch.testing.assert_close(ACTIVATIONS[name](values), expected(values), rtol=0, atol=1e-6)
