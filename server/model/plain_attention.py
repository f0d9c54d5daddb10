"""Attention in plain PyTorch, on any device: chunks one by one, single rows all at once."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from deltas.view import View
from deltas.wiring import Wiring
from server.model.attention import Attention
from server.model.batch import Batch, Item
from server.model.cache import KeyValueCache, places_of

_Masks = dict[tuple[int, View], Tensor | None]


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Rows [start, end) of one sequence which attend together.

    `places` [context + rows] says where all of their keys are in the cache; None where they attend
    to one another alone.
    """

    item: Item
    start: int
    end: int
    places: Tensor | None


@dataclass(frozen=True, slots=True)
class _Decode:
    """The batch's single-row items, which attend together.

    `rows` [D] are their places on the packed axis, `places` [D, longest] where their keys are in
    the cache, padded with the row's own last; `lengths` [D, 1] how many of them count.
    """

    rows: Tensor
    places: Tensor
    lengths: Tensor


@dataclass(frozen=True, slots=True)
class _Plan:
    """A batch as this attention wants it; `writes` [T] says where each row's keys are cached."""

    chunks: tuple[_Chunk, ...]
    decode: _Decode | None
    writes: Tensor | None
    masks: _Masks = field(default_factory=_Masks)


class PlainAttention(Attention):
    """Gathers each sequence's keys and leaves the rest to PyTorch's attention.

    Without a cache (an encoder) a sequence is computed whole and its prefix comes with every layer.
    """

    def __init__(self, wiring: Wiring, layers: list[str], cache: KeyValueCache | None) -> None:
        super().__init__(wiring, layers)
        self.cache = cache
        self._plan = _Plan((), None, None)

    def begin(self, batch: Batch) -> None:
        """Find each row's places and write the prefixes of sequences that begin."""
        self._plan = _plan(batch, self.cache is not None)
        if self.cache is None:
            return
        for item in batch.items:
            if item.offset == 0 and item.extent.cached:
                self._place_prefix(item, self.cache)

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, view: View) -> Tensor:
        """Attend one layer."""
        plan = self._plan
        if self.cache is not None and plan.writes is not None:
            self.cache.write(layer, plan.writes, key, value)
        out = torch.empty_like(query)
        if plan.decode is not None:
            out[plan.decode.rows] = self._decode(layer, plan.decode, query, view)
        for number, chunk in enumerate(plan.chunks):
            rows = slice(chunk.start, chunk.end)
            keys, values = self._chunk_keys(layer, chunk, key[rows], value[rows])
            places = torch.arange(len(keys), device=query.device)
            own = places[len(keys) - (chunk.end - chunk.start) :]
            if (number, view) not in plan.masks:
                plan.masks[number, view] = _chunk_mask(view, own, places)
            out[rows] = view.attend(
                query[rows].transpose(0, 1)[None],
                keys.transpose(0, 1)[None],
                values.transpose(0, 1)[None],
                plan.masks[number, view],
                None if view.bias is None else view.bias.of(own, places),
            )[0].transpose(0, 1)
        return out

    def _chunk_keys(
        self, layer: int, chunk: _Chunk, key: Tensor, value: Tensor
    ) -> tuple[Tensor, Tensor]:
        if self.cache is not None and chunk.places is not None:
            return self.cache.keys[layer][chunk.places], self.cache.values[layer][chunk.places]
        if self.cache is not None:
            return key, value
        pair = self._wiring.key_values(self._layers[layer], chunk.item.slot)
        if pair is None:
            return key, value
        return torch.cat([pair[0], key]), torch.cat([pair[1], value])

    def _decode(self, layer: int, decode: _Decode, query: Tensor, view: View) -> Tensor:
        if self.cache is None:
            raise RuntimeError("A model without a cache does not decode.")
        rows = decode.lengths[:, 0] - 1
        keys = torch.arange(decode.places.shape[1], device=rows.device)
        if (-1, view) not in self._plan.masks:
            self._plan.masks[-1, view] = view.sees(rows, keys)[:, None, None]
        attended = view.attend(
            query[decode.rows][:, :, None],
            self.cache.keys[layer][decode.places].transpose(1, 2),
            self.cache.values[layer][decode.places].transpose(1, 2),
            self._plan.masks[-1, view],
            None if view.bias is None else view.bias.of(rows, keys).transpose(0, 1)[:, :, None],
        )
        return attended[:, :, 0]

    def _place_prefix(self, item: Item, cache: KeyValueCache) -> None:
        places = torch.tensor(
            places_of(item.blocks, 0, item.extent.cached), device=cache.keys[0].device
        )
        for layer, site in enumerate(self._layers):
            pair = self._wiring.key_values(site, item.slot)
            if pair is not None:
                cache.write(layer, places, *pair)


def _plan(batch: Batch, cached: bool) -> _Plan:
    device = batch.tokens.device
    chunks: list[_Chunk] = []
    singles: list[tuple[int, list[int]]] = []
    writes: list[int] = []
    for item, rows in zip(batch.items, batch.segments.items, strict=True):
        places = places_of(item.blocks, 0, item.context + len(item.tokens)) if cached else []
        writes.extend(places[item.context :])
        if cached and len(item.tokens) == 1:
            singles.append((rows.start, places))
            continue
        keys = torch.tensor(places, device=device) if cached and item.context else None
        chunks.append(_Chunk(item, rows.start, rows.end, keys))
    return _Plan(
        tuple(chunks),
        _decode(singles, device) if singles else None,
        torch.tensor(writes, device=device) if cached else None,
    )


def _decode(singles: Sequence[tuple[int, list[int]]], device: torch.device) -> _Decode:
    longest = max(len(places) for _, places in singles)
    # Not even a masked key may be another sequence's: 0 times its NaN would still be NaN.
    padded = [places + places[-1:] * (longest - len(places)) for _, places in singles]
    return _Decode(
        rows=torch.tensor([row for row, _ in singles], device=device),
        places=torch.tensor(padded, device=device),
        lengths=torch.tensor([[len(places)] for _, places in singles], device=device),
    )


def _chunk_mask(view: View, rows: Tensor, keys: Tensor) -> Tensor | None:
    """[rows, keys], true where a row looks; None where plain causality, or nothing, says it all."""
    alone = len(rows) == len(keys) or not view.causal
    if alone and (view.window is None or view.window >= len(keys)):
        return None
    return view.sees(rows, keys)
