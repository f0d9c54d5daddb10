"""Attention over a packed batch: the one function that every family's modules call.

Transformers lets a model's attention be replaced by name (`AttentionInterface`). Ours splits the
packed axis into sequences: prefill chunks attend one by one, decode rows all at once over the
cache, and a delta's own keys and values come first.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from deltas.wiring import Wiring
from server.model.batch import Batch, Chunk, Decode
from server.model.cache import KeyValueCache

NAME = "polydelta"
_LAYER = "polydelta_layer"


@dataclass
class Step:
    """What the attention modules of one model share: the batch under way and the cache."""

    wiring: Wiring
    cache: KeyValueCache | None
    batch: Batch | None = None


@dataclass(frozen=True)
class Layer:
    """One attention module's place in the model."""

    index: int
    site: str
    step: Step

    def __call__(
        self, query: Tensor, key: Tensor, value: Tensor, causal: bool, scale: float | None,
        window: int | None,
    ) -> Tensor:  # fmt: skip
        """Attend: query [T, heads, width], key and value [T, kv heads, width] → as query."""
        batch = self.step.batch
        if batch is None:
            raise RuntimeError("The model was run outside a step.")
        if self.step.cache is not None and batch.writes is not None:
            self.step.cache.write(self.index, batch.writes, key, value)
        out = torch.empty_like(query)
        if batch.decode is not None:
            out[batch.decode.rows] = self._decode(batch, batch.decode, query, scale, window)
        for number, chunk in enumerate(batch.chunks):
            rows = slice(chunk.start, chunk.end)
            keys, values = self._chunk_keys(chunk, key[rows], value[rows])
            mask = None
            if causal:
                known = (number, window)
                if known not in batch.masks:
                    batch.masks[known] = _chunk_mask(chunk, len(keys), window, query.device)
                mask = batch.masks[known]
            out[rows] = scaled_dot_product_attention(
                query[rows].transpose(0, 1)[None],
                keys.transpose(0, 1)[None],
                values.transpose(0, 1)[None],
                attn_mask=mask,
                is_causal=causal and mask is None,
                scale=scale,
                enable_gqa=query.shape[1] != keys.shape[1],
            )[0].transpose(0, 1)
        return out

    def _chunk_keys(self, chunk: Chunk, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        cache = self.step.cache
        if cache is not None and chunk.places is not None:
            return cache.keys[self.index][chunk.places], cache.values[self.index][chunk.places]
        pair = self.step.wiring.key_values(self.site, chunk.item.slot) if cache is None else None
        if pair is None:
            return key, value
        return torch.cat([pair[0], key]), torch.cat([pair[1], value])

    def _decode(
        self, batch: Batch, decode: Decode, query: Tensor, scale: float | None, window: int | None
    ) -> Tensor:
        cache = self.step.cache
        if cache is None:
            raise RuntimeError("A model without a cache does not decode.")
        known = (-1, window)
        if known not in batch.masks:
            batch.masks[known] = _decode_mask(decode, window)
        keys = cache.keys[self.index][decode.places].transpose(1, 2)
        values = cache.values[self.index][decode.places].transpose(1, 2)
        attended = scaled_dot_product_attention(
            query[decode.rows][:, :, None],
            keys,
            values,
            attn_mask=batch.masks[known],
            scale=scale,
            enable_gqa=query.shape[1] != keys.shape[1],
        )
        return attended[:, :, 0]


def attach(step: Step, modules: dict[str, nn.Module]) -> None:
    """Tell each attention module, by site name in the order of the layers, its place."""
    for index, (site, module) in enumerate(modules.items()):
        setattr(module, _LAYER, Layer(index, site, step))


def _chunk_mask(chunk: Chunk, keys: int, window: int | None, device: torch.device) -> Tensor | None:
    """[rows, keys], true where a row may look; None where plain causality says it all."""
    rows = chunk.end - chunk.start
    if keys == rows and (window is None or window >= rows):
        return None
    at = torch.arange(keys - rows, keys, device=device)[:, None]
    key = torch.arange(keys, device=device)[None]
    mask = key <= at
    return mask if window is None else mask & (key > at - window)


def _decode_mask(decode: Decode, window: int | None) -> Tensor:
    """[D, 1, 1, longest], true where a row may look."""
    key = torch.arange(decode.places.shape[1], device=decode.places.device)[None]
    mask = key < decode.lengths
    if window is not None:
        mask = mask & (key >= decode.lengths - window)
    return mask[:, None, None]


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Transformers' attention signature: tensors [1, heads, T, width] → [1, T, heads, width]."""
    del attention_mask
    layer: Layer = getattr(module, _LAYER)
    causal = bool(getattr(module, "is_causal", False))
    query, key, value = (tensor[0].transpose(0, 1) for tensor in (query, key, value))
    return layer(query, key, value, causal, scaling, sliding_window)[None], None


AttentionInterface.register(NAME, _attend)
