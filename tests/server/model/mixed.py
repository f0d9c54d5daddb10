"""One runner with a sequence of every generating kind, and what the reference makes of each."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from deltas.formats import load
from deltas.kinds import Extent, extent_of
from deltas.segments import BASE_SLOT
from server.model.batch import Item
from server.model.runner import Runner
from tests.server.engine.engines import tiny_base
from tests.server.engine.references import TOLERANCE, Reference, references

BLOCKS_EACH = 4

Step = Mapping[int, tuple[int, int]]
"""Slot → rows [start, end) of its sequence."""


class Mixed:
    """One runner with every generating kind resident and a sequence in each slot."""

    def __init__(self, family: str, folder: Path, kinds: Sequence[str] = ()) -> None:
        directories, answers = references(family, folder, kinds)
        base = tiny_base(family)
        self.runner = Runner(base, BLOCKS_EACH * (len(answers) + 1))
        self.references: dict[int, Reference] = {BASE_SLOT: answers.pop("base")}
        self.extents: dict[int, Extent] = {BASE_SLOT: Extent()}
        for slot, (name, directory) in enumerate(directories.items(), start=1):
            delta = load(directory, base.spec)
            self.runner.wiring.install(slot, delta)
            self.references[slot] = answers[name]
            self.extents[slot] = extent_of(delta, base.spec)
        generator = torch.Generator().manual_seed(3)
        self.prompts = {
            slot: torch.randint(3, 120, (9 + 2 * slot,), generator=generator)
            for slot in self.references
        }
        self.rows = {
            slot: [0] * self.extents[slot].rows + prompt.tolist()
            for slot, prompt in self.prompts.items()
        }

    def run(self, *steps: Step) -> dict[int, Tensor]:
        """Each slot's logits after the last of its steps."""
        last: dict[int, Tensor] = {}
        for step in steps:
            items = [self._item(slot, *rows) for slot, rows in sorted(step.items())]
            logits = self.runner.forward(items).logits
            last |= {item.slot: row for item, row in zip(items, logits, strict=True)}
        return last

    def _item(self, slot: int, start: int, end: int) -> Item:
        blocks = range(slot * BLOCKS_EACH, (slot + 1) * BLOCKS_EACH)
        tokens = self.rows[slot][start:end]
        return Item(slot, tokens, start, self.extents[slot], blocks, wants_logits=True)


def close(found: dict[int, Tensor], mixed: Mixed, *absent: int) -> None:
    for slot in mixed.references.keys() - set(absent):
        expected = mixed.references[slot](mixed.prompts[slot])[-1]
        torch.testing.assert_close(found[slot], expected, rtol=0, atol=TOLERANCE)
