"""The runner: one forward pass of the frozen base over a packed batch."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from deltas.kinds.head import BARE_ENCODER
from deltas.segments import BASE_SLOT, Segment, Segments
from deltas.site import Role
from deltas.wiring import Wiring
from server.model import attention
from server.model.base import Base
from server.model.batch import Batch, Item, pack
from server.model.cache import BLOCK, KeyValueCache


@dataclass(frozen=True, slots=True)
class Forward:
    """A step's results.

    `logits` [n, vocabulary] hold, in order, a row for each item that wanted them; `hidden` holds
    [rows, hidden] for each item that wanted those, by the item's index.
    """

    logits: Tensor
    hidden: dict[int, Tensor]


class Runner:
    """Runs steps; used by one thread at a time."""

    def __init__(self, base: Base, cache_blocks: int) -> None:
        self.base = base
        self.wiring = Wiring(base.model, base.spec)
        self._family = base.spec.family
        self._backbone: nn.Module = base.model.base_model
        self._cap: float | None = getattr(base.model.config, "final_logit_softcapping", None)
        self.cache = (
            KeyValueCache(base.spec, cache_blocks, base.dtype, base.device)
            if base.generates
            else None
        )
        self._step = attention.Step(self.wiring, self.cache)
        self._attentions = [site.name for site in base.spec.of_role(Role.ATTENTION)]
        modules = {name: self._backbone.get_submodule(name) for name in self._attentions}
        attention.attach(self._step, modules)
        base.model.set_attn_implementation(attention.NAME)
        if not base.generates:
            self.wiring.install(BASE_SLOT, BARE_ENCODER)

    @torch.inference_mode()
    def forward(self, items: Sequence[Item]) -> Forward:
        """Compute one step.

        Items of one slot should be neighbours: each kind then acts on them at once. Running the
        same items again gives the same result, since a row's place in the cache is its own.
        """
        block = BLOCK if self.cache is not None else 0
        batch = pack(items, block, self._family.first_position, self.base.device)
        self._place_prefixes(items)
        hidden = self._hidden(batch)
        chosen = batch.segments.items
        wanted = {
            index: hidden[rows.start : rows.end]
            for index, rows in enumerate(chosen)
            if items[index].wants_hidden
        }
        return Forward(self._logits(items, chosen, hidden), wanted)

    @torch.inference_mode()
    def scores(self, slot: int, hidden: Tensor) -> Tensor | None:
        """A slot's answer to one sequence's last hidden states, in float32."""
        scores = self.wiring.scores(slot, hidden)
        return None if scores is None else scores.float()

    def _hidden(self, batch: Batch) -> Tensor:
        self._step.batch = batch
        self.wiring.bind(batch.segments)
        extra = {"use_cache": False} if self._family.causal else {}
        output = self._backbone(
            input_ids=batch.tokens[None], position_ids=batch.positions[None], **extra
        )
        self._step.batch = None
        return output.last_hidden_state[0]

    def _logits(self, items: Sequence[Item], segments: Sequence[Segment], hidden: Tensor) -> Tensor:
        wanting = [rows for item, rows in zip(items, segments, strict=True) if item.wants_logits]
        if not wanting:
            return hidden.new_empty(0, self.base.spec.vocabulary, dtype=torch.float32)
        rows = torch.tensor([segment.end - 1 for segment in wanting], device=hidden.device)
        # The LM head may be a site too, and sees the chosen rows alone.
        self.wiring.bind(
            Segments.of(Segment(rows.slot, at, at + 1) for at, rows in enumerate(wanting))
        )
        logits = self.base.lm_head(hidden[rows]).float()
        return logits if self._cap is None else torch.tanh(logits / self._cap) * self._cap

    def _place_prefixes(self, items: Sequence[Item]) -> None:
        if self.cache is None:
            return
        for item in items:
            if item.offset or not item.extent.cached:
                continue
            count = item.extent.cached
            index = torch.arange(count, device=self.base.device)
            blocks = torch.tensor(list(item.blocks), device=self.base.device)
            places = blocks[index // BLOCK] * BLOCK + index % BLOCK
            for layer, site in enumerate(self._attentions):
                pair = self.wiring.key_values(site, item.slot)
                if pair is not None:
                    self.cache.write(layer, places, *pair)
