"""Encoder-decoders: one stack reads a source whole, another looks at it while it writes."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache, EncoderDecoderCache

from deltas.families import Encoder
from deltas.positions import bound, positions_of
from deltas.site import Rows
from deltas.wiring import Wiring
from server.model.attention import Attention
from server.model.base import Base
from server.model.batch import Batch, Item, pack
from server.model.cache import places_of
from server.model.cross_attention import CrossAttention


class SourceReader:
    """Reads the new sources of a step: their states, then each decoder layer's keys and values."""

    def __init__(
        self, base: Base, encoder: Encoder, wiring: Wiring, own: Attention, cross: CrossAttention
    ) -> None:
        stack, decoder = base.spec.family.stacks
        backbone = base.model.base_model
        self._base = base
        self._wiring = wiring
        self.own = own
        self.cross = cross
        self._encoder: nn.Module = backbone.get_submodule(stack.path)
        self.positions = positions_of(self._encoder, encoder, base.spec.context)
        self._keys = [
            [layer.get_submodule(f"{encoder.cross_attention}.{name}") for name in encoder.keys]
            for layer in backbone.get_submodule(decoder.layers).children()
        ]
        self._width = next(
            site.outputs for site in base.spec.sites.values() if site.rows is Rows.CROSS
        )
        self.states: Callable[[Batch], Tensor] = self.run_modules
        """What makes a source's last hidden states [T, hidden]."""

    def read(self, items: Sequence[Item]) -> None:
        """Compute what a step's sequences look at; those of one source share its blocks."""
        fresh = {
            tuple(item.source.blocks): item for item in items if item.source and item.source.tokens
        }
        if not fresh:
            return
        batch = pack([_source_of(item) for item in fresh.values()], 0, self._base.device)
        self._wiring.bind(batch.segments)
        self.own.begin(batch)
        states = self.states(batch)
        places: list[int] = []
        for blocks, item in fresh.items():
            self.cross.place_own(item)
            first = item.extent.crossed
            places += places_of(blocks, first, first + len(_tokens_of(item)))
        for layer, projections in enumerate(self._keys):
            key, value = (self._heads(projection(states[None])[0]) for projection in projections)
            self.cross.keep(layer, places, key, value)

    def run_modules(self, batch: Batch) -> Tensor:
        """The states by the base's own modules."""
        with bound(self.positions, batch.positions):
            return self._encoder(input_ids=batch.tokens[None]).last_hidden_state[0]

    def _heads(self, rows: Tensor) -> Tensor:
        return rows.view(len(rows), -1, self._width)


class DecoderModules:
    """Runs the decoder's own modules over a step's rows."""

    def __init__(self, base: Base, encoder: Encoder, layers: int) -> None:
        _, stack = base.spec.family.stacks
        self._decoder: nn.Module = base.model.base_model.get_submodule(stack.path)
        # Of a source nothing is given: the rows' attention knows where its keys and values are.
        self._nothing = torch.zeros(1, 1, base.spec.hidden, dtype=base.dtype, device=base.device)
        self.positions = positions_of(
            self._decoder, encoder, base.spec.context, encoder_hidden_states=self._nothing
        )
        self._cache = _Kept(layers, base)

    def __call__(self, batch: Batch) -> Tensor:
        """The rows' last hidden states [T, hidden]."""
        with bound(self.positions, batch.positions):
            output: Any = self._decoder(
                input_ids=batch.tokens[None],
                encoder_hidden_states=self._nothing,
                past_key_values=self._cache,
                use_cache=False,
            )
        return output.last_hidden_state[0]


class _Passing(DynamicCache):
    """Keeps nothing of its own: every layer's keys and values are those of the step."""

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **said: Any
    ) -> tuple[Tensor, Tensor]:
        """Hand on what there is."""
        del layer_idx, args, said
        return key_states, value_states

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Nothing is there."""
        del layer_idx
        return 0


class _Kept(EncoderDecoderCache):
    """Tells a decoder's modules that a source's keys and values are there already."""

    def __init__(self, layers: int, base: Base) -> None:
        super().__init__(_Passing(), _Passing())
        empty = torch.zeros(1, 1, 1, 1, dtype=base.dtype, device=base.device)
        kept: Any = self.cross_attention_cache
        kept.layers = [SimpleNamespace(keys=empty, values=empty) for _ in range(layers)]
        self.is_updated = dict.fromkeys(range(layers), True)


def _source_of(item: Item) -> Item:
    """A source's own rows."""
    return Item(item.slot, _tokens_of(item), 0, item.extent.source)


def _tokens_of(item: Item) -> Sequence[int]:
    return () if item.source is None else item.source.tokens
