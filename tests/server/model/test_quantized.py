"""A base in 8 bits: the base whose weights are rounded, under deltas that are not."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from deltas.base import LINEARS
from deltas.formats import load
from deltas.kinds import Extent
from deltas.segments import BASE_SLOT
from server.errors import InvalidSettings
from server.model.batch import Item
from server.model.runner import Runner
from tests.kernels import needs_kernels, without_kernels
from tests.models import ENCODERS, tiny_model
from tests.server.engine.engines import tiny_base
from tests.server.engine.references import plain, references

PROMPT = list(range(5, 30))
NEAR = 2e-3
"""What rows of 16 bits may change; weights of 8 bits change several times as much."""


def rounded(family: str) -> torch.nn.Module:
    """The tiny model with each projection rounded as 8 bits hold it."""
    model = tiny_model(family)
    for module in model.modules():
        if isinstance(module, LINEARS):
            outputs = 0 if isinstance(module, torch.nn.Linear) else 1
            scales = module.weight.abs().amax(dim=1 - outputs, keepdim=True) / 127
            # A tied LM head is rounded, the embedding is not.
            weight = (module.weight / scales).round() * scales
            module.weight = torch.nn.Parameter(weight, requires_grad=False)
    return model


@needs_kernels
@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma3_text", "gpt2"])
def test_it_is_the_rounded_base(family: str) -> None:
    runner = Runner(replace(tiny_base(family), quantize=True), 4)
    items = [Item(BASE_SLOT, PROMPT, 0, Extent(), [0, 1], wants_logits=True)]
    found = runner.forward(items).logits[0]
    expected = plain(rounded(family))(torch.tensor(PROMPT))[-1]
    torch.testing.assert_close(found, expected, rtol=0, atol=NEAR)
    exact = plain(tiny_model(family))(torch.tensor(PROMPT))[-1]
    assert (found - exact).abs().max() > 10 * NEAR


@needs_kernels
@pytest.mark.parametrize("family", ENCODERS)
def test_an_encoder_too(family: str) -> None:
    runner = Runner(replace(tiny_base(family), quantize=True), 0)
    item = Item(BASE_SLOT, PROMPT, 0, Extent(), (), wants_hidden=True)
    found = runner.forward([item]).hidden[0]
    rounded_says, exact = (
        model(input_ids=torch.tensor([PROMPT])).last_hidden_state[0]
        for model in (rounded(family), tiny_model(family))
    )
    torch.testing.assert_close(found, rounded_says, rtol=0, atol=NEAR)
    assert (found - exact).abs().max() > 5 * NEAR


@needs_kernels
def test_deltas_are_not_rounded(tmp_path: Path) -> None:
    directories, _ = references("llama", tmp_path)
    base = tiny_base("llama")
    delta = load(directories["lora"], base.spec)
    changes: list[torch.Tensor] = []
    for quantize in (False, True):
        runner = Runner(replace(tiny_base("llama"), quantize=quantize), 4)
        runner.wiring.install(1, delta)
        logits = [
            runner.forward([Item(slot, PROMPT, 0, Extent(), [0, 1], wants_logits=True)]).logits[0]
            for slot in (BASE_SLOT, 1)
        ]
        changes.append(logits[1] - logits[0])
    torch.testing.assert_close(*changes, rtol=0.2, atol=0.2)


def test_without_kernels_it_is_refused() -> None:
    with without_kernels(), pytest.raises(InvalidSettings, match="leave out --quantize"):
        Runner(replace(tiny_base("gpt2"), quantize=True), 4)
