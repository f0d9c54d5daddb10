"""Recorded encoder-decoders: a row's bits are its own, and those of calls made one by one."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from deltas.base import describe
from deltas.kinds import Extent, extent_of
from deltas.wiring import Wiring
from server.bench.synthetic import projections, random_delta
from server.model.base import Base
from server.model.batch import Item, SourceItem
from server.model.runner import Runner
from tests.encoder_decoders import FAMILIES, tiny_encoder_decoder
from tests.kernels import needs_kernels
from tests.server.engine.engines import tiny_tokenizer

pytestmark = needs_kernels

KINDS = ("lora", "bottleneck", "prompt", "prefix", "ia3")
OWN, SOURCE = 4, 4
"""Blocks for each slot."""


class Reading:
    """A runner with a random delta of each kind in its slots, and the calls that it replayed."""

    def __init__(self, family: str, dtype: torch.dtype, patch: pytest.MonkeyPatch) -> None:
        model = tiny_encoder_decoder(family)
        for parameter in model.parameters():
            parameter.data = parameter.data.to(dtype)
        self.spec = describe(model, family)
        self.runner = Runner(Base(self.spec, model, tiny_tokenizer()), 64)
        self.replayed = 0
        self._extents = {0: Extent()}
        assert self.runner.kernels is not None
        replay: Callable[..., None] = self.runner.kernels.replay

        def count(*arguments: Any) -> None:
            self.replayed += 1
            replay(*arguments)

        patch.setattr(self.runner.kernels, "replay", count)

    def install(self, kinds: Sequence[str]) -> None:
        """Install a delta of each of these kinds, from slot 1 on."""
        for slot, kind in enumerate(kinds, start=1):
            targets = projections(self.spec, every=True)
            delta = random_delta(self.spec, kind, slot, targets, rank=4)
            self.runner.wiring.install(slot, self.runner.wiring.prepare(delta))
            self._extents[slot] = extent_of(delta, self.spec)

    def states(self, slots: Sequence[int]) -> dict[int, list[Tensor]]:
        """Each slot's hidden states: of a beginning of five rows, and of the row that follows."""
        found: dict[int, list[Tensor]] = {slot: [] for slot in slots}
        for start, end in ((0, 5), (5, 6)):
            items = [self._item(slot, start, end) for slot in slots]
            for at, hidden in self.runner.forward(items).hidden.items():
                found[slots[at]].append(hidden)
        return found

    def _item(self, slot: int, start: int, end: int) -> Item:
        extent = self._extents[slot]
        source = [0] * extent.source_rows + list(range(7 + slot, 20 + 2 * slot))
        tokens = [0] * extent.rows + list(range(30 + slot, 36 + slot))
        first = 0 if start == 0 else extent.rows + start
        blocks = range(slot * (OWN + SOURCE), (slot + 1) * (OWN + SOURCE))
        return Item(
            slot,
            tokens[first : extent.rows + end],
            first,
            extent,
            blocks[:OWN],
            wants_hidden=True,
            source=SourceItem(
                blocks[OWN:], extent.crossed + len(source), source if start == 0 else ()
            ),
        )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", ["t5", "mt5", "bart", "mbart"])
def test_mixed_is_alone_to_the_bit(
    family: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = Reading(family, dtype, monkeypatch)
    reading.install(KINDS)
    slots = range(len(KINDS) + 1)
    together = reading.states(slots)
    for slot in slots:
        alone = reading.states([slot])[slot]
        torch.testing.assert_close(alone, together[slot], rtol=0, atol=0)
    assert reading.replayed


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_replayed_is_what_calls_one_by_one_say(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = Reading(family, torch.float32, monkeypatch)
    reading.install(["lora", "prompt", "lora"])
    found = reading.states([0, 1, 2, 3])
    # A source and two steps of those that look at it.
    assert reading.replayed == (3 if reading.spec.family.sublayers else 0)
    before = reading.replayed
    monkeypatch.setattr(Wiring, "recordable", frozenset[int]())
    torch.testing.assert_close(reading.states([0, 1, 2, 3]), found, rtol=0, atol=0)
    assert reading.replayed == before
