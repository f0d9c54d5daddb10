"""Adapters and prefixes of encoder-decoders, in both stacks, against AdapterHub's library."""

import re
from collections import defaultdict
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from deltas.base import BaseSpec, describe
from deltas.delta import Delta, Part, TaskType
from deltas.families.family import AFTER_ATTENTION, AFTER_FEED_FORWARD
from deltas.kinds import Extent, check, extent_of
from deltas.segments import BASE_SLOT
from deltas.site import Role, Rows
from server.model.base import Base
from server.model.batch import Item, SourceItem
from server.model.runner import Runner
from tests.deltas.kinds.adapterhub import Example, base_model, config, examples, weights
from tests.server.engine.engines import tiny_tokenizer

SLOT = 2
BLOCKS_EACH = 4
TOLERANCE = 1e-5
EFFECT = 0.05
CASES = [
    ("t5", "seq_bn"),
    ("t5", "double_seq_bn"),
    ("bart", "seq_bn"),
    ("bart", "double_seq_bn"),
    ("bart", "prefix_tuning"),
]
KEY = re.compile(
    r"(?:model\.)?(?P<layer>(?:en|de)coder\.(?:layers|block)\.\d+)\.(?P<block>.+?)"
    r"(?:\.adapters)?\.adapters\.task\.adapter_(?P<tensor>down\.0|up)\.(?P<end>weight|bias)"
)
ATTENTION = ("attention_adapters", "layer.0")
PREFIXES = {
    "encoder_prefix": Rows.SOURCE,
    "self_prefix": Rows.OWN,
    "cross_prefix": Rows.CROSS,
}


def bottlenecks(family: str, method: str) -> Iterator[Part]:
    """The library's adapters in our terms."""
    settings = config(family, method)
    options = {
        "activation": settings["non_linearity"],
        "norm_before": settings["original_ln_before"],
    }
    sites: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for name, tensor in weights(family, method).items():
        key = KEY.fullmatch(name)
        assert key is not None, name
        block = AFTER_ATTENTION if key["block"].startswith(ATTENTION) else AFTER_FEED_FORWARD
        ours = key["tensor"].removesuffix(".0") + ("_bias" if key["end"] == "bias" else "")
        sites[f"{key['layer']}.{block}"][ours] = tensor
    for site, tensors in sites.items():
        yield Part("bottleneck", site, tensors, options)


def prefixes(family: str, base: BaseSpec) -> Iterator[Part]:
    """The library's prefixes in our terms: what its networks make of their embeddings."""
    found = weights(family, "prefix_tuning")
    for place, rows in PREFIXES.items():
        ours = {
            name.partition(f".{place}.")[2]: tensor
            for name, tensor in found.items()
            if f".{place}." in name
        }
        inner = ours["wte.weight"] @ ours["control_trans.0.weight"].T + ours["control_trans.0.bias"]
        said = inner.tanh() @ ours["control_trans.2.weight"].T + ours["control_trans.2.bias"]
        sites = [site for site in base.of_role(Role.ATTENTION) if site.rows is rows]
        pairs = said.unflatten(1, (len(sites), 2, sites[0].heads, sites[0].outputs))
        for site, pair in zip(sites, pairs.unbind(1), strict=True):
            both = {"key": pair[:, 0], "value": pair[:, 1]}
            yield Part("prefix", site.name, both, {"shift": False})


def item(example: Example, slot: int, extent: Extent, number: int) -> Item:
    assert example.own is not None
    places = range(number * BLOCKS_EACH, (number + 1) * BLOCKS_EACH)
    tokens = example.ids.tolist()
    length = len(tokens) + extent.crossed
    source = SourceItem(places[:2], length, tokens)
    return Item(
        slot,
        example.own.tolist(),
        0,
        extent,
        places[2:],
        wants_logits=True,
        wants_hidden=True,
        source=source,
    )


@pytest.mark.parametrize(("family", "method"), CASES)
def test_the_library_computes_the_same(family: str, method: str) -> None:
    model = base_model(family)
    base = Base(describe(model, family), model, tiny_tokenizer())
    found = prefixes(family, base.spec) if "prefix" in method else bottlenecks(family, method)
    delta = Delta(TaskType.GENERATE, tuple(found))
    check(delta, base.spec)
    extent = extent_of(delta, base.spec)
    known = list(examples(family, method))
    runner = Runner(base, cache_blocks=2 * len(known) * BLOCKS_EACH)
    runner.wiring.install(SLOT, delta)
    bare = [item(each, BASE_SLOT, Extent(), at) for at, each in enumerate(known)]
    changed = [item(each, SLOT, extent, at) for at, each in enumerate(known, start=len(known))]
    forward = runner.forward(bare + changed)
    for at, example in enumerate(known):
        hidden = forward.hidden[len(known) + at]
        assert (hidden - forward.hidden[at]).abs().max() > EFFECT
        torch.testing.assert_close(hidden, example.hidden, rtol=0, atol=TOLERANCE)
        assert example.logits is not None
        logits = forward.logits[len(known) + at]
        torch.testing.assert_close(logits, example.logits[-1], rtol=0, atol=TOLERANCE)
