"""Prefixes against AdapterHub's library, on every family for which it has them."""

import pytest
import torch
from torch import Tensor

from deltas.base import BaseSpec, describe
from deltas.delta import Delta, Part, TaskType
from deltas.kinds import Extent, check, extent_of
from deltas.kinds.head import BARE_ENCODER
from deltas.segments import BASE_SLOT
from deltas.site import Role
from server.model.base import Base
from server.model.batch import Item
from server.model.runner import Runner
from tests.deltas.kinds.adapterhub import Example, base_model, config, examples, weights
from tests.server.engine.engines import tiny_tokenizer

SLOT = 2
BLOCKS_EACH = 2
TOLERANCE = 1e-5
EFFECT = 0.05
METHOD = "prefix_tuning"


def delta(family: str, base: BaseSpec) -> Delta:
    """The library's prefix in our terms: its network's outputs alone, beside the text."""
    assert config(family, METHOD)["non_linearity"] == "tanh"
    sites = base.of_role(Role.ATTENTION)
    pairs = outputs(family).unflatten(1, (len(sites), 2, sites[0].heads, sites[0].outputs))
    parts = (
        Part("prefix", site.name, {"key": pair[:, 0], "value": pair[:, 1]}, {"shift": False})
        for site, pair in zip(sites, pairs.unbind(1), strict=True)
    )
    if base.family.causal:
        return Delta(TaskType.GENERATE, tuple(parts))
    return Delta(TaskType.EMBED, (*parts, *BARE_ENCODER.parts))


def outputs(family: str) -> Tensor:
    """What the library's network makes of its embeddings: [length, layers x 2 x heads x width]."""
    # The same tensors are there under each layer's name too, through the pool that layers share.
    found = {
        name.split(".task.")[1].partition(".")[2]: tensor
        for name, tensor in weights(family, METHOD).items()
        if ".pool." not in name
    }
    inner = found["wte.weight"] @ found["control_trans.0.weight"].T + found["control_trans.0.bias"]
    return inner.tanh() @ found["control_trans.2.weight"].T + found["control_trans.2.bias"]


def item(example: Example, slot: int, extent: Extent, number: int, base: Base) -> Item:
    blocks = range(number * BLOCKS_EACH, (number + 1) * BLOCKS_EACH)
    tokens = example.ids.tolist()
    return Item(slot, tokens, 0, extent, blocks, wants_logits=base.generates, wants_hidden=True)


@pytest.mark.parametrize("family", ["llama", "mistral", "gpt2", "bert", "roberta", "distilbert"])
def test_the_library_computes_the_same(family: str) -> None:
    model = base_model(family)
    base = Base(describe(model, family), model, tiny_tokenizer())
    prefix = delta(family, base.spec)
    check(prefix, base.spec)
    known = list(examples(family, METHOD))
    runner = Runner(base, cache_blocks=2 * len(known) * BLOCKS_EACH)
    runner.wiring.install(SLOT, prefix)
    bare = [item(x, BASE_SLOT, Extent(), at, base) for at, x in enumerate(known)]
    extent = extent_of(prefix, base.spec)
    changed = [item(x, SLOT, extent, at, base) for at, x in enumerate(known, start=len(known))]
    forward = runner.forward(bare + changed)
    for at, example in enumerate(known):
        hidden = forward.hidden[len(known) + at]
        assert (hidden - forward.hidden[at]).abs().max() > EFFECT
        torch.testing.assert_close(hidden, example.hidden, rtol=0, atol=TOLERANCE)
        if example.logits is not None:
            logits = forward.logits[len(known) + at]
            torch.testing.assert_close(logits, example.logits[-1], rtol=0, atol=TOLERANCE)
