"""Bases by the kernels' products, under deltas, say what their own modules say."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations

import pytest
import torch
from torch import Tensor

from deltas.base import BaseSpec
from deltas.delta import Delta, Part, TaskType
from deltas.kernels import Kernels, Recorder
from deltas.kernels.backend import Packed
from deltas.kinds import KINDS, Extent
from deltas.kinds.head import BARE_ENCODER
from deltas.segments import BASE_SLOT
from deltas.site import Role
from server.errors import InvalidSettings
from server.model.batch import Item
from server.model.runner import Runner
from tests.kernels import needs_kernels, without_kernels
from tests.models import ENCODERS
from tests.server.engine.engines import tiny_base
from tests.server.engine.references import TOLERANCE

PACKED = ("opt", *ENCODERS)
"""A family whose modules run, and some whose layers are computed without them."""
ACTING = ("lora", "ia3", "bottleneck")

_TEXT = list(range(5, 30))
_BLOCKS = 2


def deltas(base: BaseSpec) -> list[Delta]:
    """One delta of each kind, wherever it can act; IA3 scales what goes in and what comes out."""
    generator = torch.Generator().manual_seed(5)
    found: list[Delta] = []
    for name in ACTING:
        kind = KINDS[name]
        options = {"rank": 4, "size": 4, "after_attention": True}
        parts: list[Part] = []
        for site in kind.sites(base, options):
            tensors = kind.create(site, options, generator)
            if name == "ia3":
                tensors["input_scale"] = torch.ones(site.inputs)
            for tensor in tensors.values():
                tensor.add_(0.2 * torch.randn(tensor.shape, generator=generator))
            parts.append(Part(name, site.name, tensors))
        if base.family.causal:
            found.append(Delta(TaskType.GENERATE, tuple(parts)))
        else:
            found.append(Delta(TaskType.EMBED, (*parts, *BARE_ENCODER.parts)))
    return found


def answers(runner: Runner, slots: Sequence[int] = (BASE_SLOT,)) -> list[Tensor]:
    """The last hidden states of one text in each slot, all in one step."""
    items = [
        Item(slot, _TEXT, 0, Extent(), range(at * _BLOCKS, (at + 1) * _BLOCKS), wants_hidden=True)
        for at, slot in enumerate(slots)
    ]
    hidden = runner.forward(items).hidden
    return [hidden[at] for at in range(len(items))]


def sites(runner: Runner) -> list[str]:
    return [site.name for site in runner.base.spec.of_role(Role.LINEAR)]


def mixed(family: str) -> list[Tensor]:
    """The answers of the base and of one task a kind, mixed in one step."""
    slots = range(1 + len(ACTING))
    runner = Runner(tiny_base(family), _BLOCKS * len(slots))
    for slot, delta in enumerate(deltas(runner.base.spec), start=1):
        runner.wiring.install(slot, delta)
    return answers(runner, slots)


@needs_kernels
@pytest.mark.parametrize("family", PACKED)
def test_every_linear_is_packed_and_kept_once(family: str) -> None:
    runner = Runner(tiny_base(family), _BLOCKS)
    assert [site for each in runner.projections for site in each.sites] == sites(runner)
    for site in sites(runner):
        assert not any(each.numel() for each in runner.wiring.module(site).parameters())


@needs_kernels
@pytest.mark.parametrize("family", PACKED)
def test_deltas_act_as_on_the_modules_own_products(family: str) -> None:
    with without_kernels():
        plain = mixed(family)
    found = mixed(family)
    for one, expected in zip(found, plain, strict=True):
        torch.testing.assert_close(one, expected, rtol=0, atol=TOLERANCE)
    assert not any(torch.allclose(a, b, atol=0.01) for a, b in combinations(found, 2))


@needs_kernels
@pytest.mark.parametrize("family", PACKED)
def test_wrong_products_leave_the_modules_as_they_were(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pack", "pack_bytes"):
        right: Callable[..., Packed] = getattr(Kernels, name)
        monkeypatch.setattr(
            Kernels, name, lambda self, weight, bias=None, pack=right: pack(self, 2 * weight, bias)
        )
    runner = Runner(tiny_base(family), _BLOCKS)
    assert not runner.projections
    found = answers(runner)
    with without_kernels():
        expected = answers(Runner(tiny_base(family), _BLOCKS))
    for one, plain in zip(found, expected, strict=True):
        torch.testing.assert_close(one, plain, rtol=0, atol=TOLERANCE)
    with pytest.raises(InvalidSettings, match="leave out --quantize"):
        Runner(replace(tiny_base(family), quantize=True), _BLOCKS)


@needs_kernels
@pytest.mark.parametrize(
    ("family", "operation"), [("llama", "gate"), *((family, "activate") for family in ENCODERS)]
)
def test_a_base_whose_layers_fail_still_has_packed_linears(
    family: str, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with without_kernels():
        expected = answers(Runner(tiny_base(family), _BLOCKS))
    activate: Callable[..., Tensor] = getattr(Recorder, operation)
    monkeypatch.setattr(Recorder, operation, lambda self, x, activation: activate(self, x, 0))
    runner = Runner(tiny_base(family), _BLOCKS)
    assert [each.sites for each in runner.projections] == [(site,) for site in sites(runner)]
    for one, plain in zip(answers(runner), expected, strict=True):
        torch.testing.assert_close(one, plain, rtol=0, atol=TOLERANCE)
