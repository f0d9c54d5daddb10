"""Cross-attention: rows that look at what an encoder made of their sequence's source.

A source's keys and values are computed once and lie in blocks of the cache that its sequences keep
for their own, layer by layer: whoever has the same source reads the same blocks.
"""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from deltas.kernels import Kernels, Recorder
from deltas.view import View
from deltas.wiring import Wiring
from server.model.attention import Attention
from server.model.batch import Batch, Item
from server.model.cache import places_of
from server.model.native_attention import NativeAttention
from server.model.plain_attention import PlainAttention


class CrossAttention(Attention):
    """Attends a step's rows to their sources. What modules say of keys counts for nothing."""

    @abstractmethod
    def keep(self, layer: int, places: Sequence[int], key: Tensor, value: Tensor) -> None:
        """Store keys and values [n, heads, width] of one layer at places [n] of the cache."""

    def place_own(self, item: Item) -> None:
        """Store the keys and values that an item's delta places before those of a source."""
        if item.source is None or not item.extent.crossed:
            return
        places = places_of(item.source.blocks, 0, item.extent.crossed)
        for layer, site in enumerate(self._layers):
            pair = self._wiring.key_values(site, item.slot)
            if pair is not None:
                self.keep(layer, places, *pair)


class NativeCrossAttention(CrossAttention):
    """By the native kernels, in the cache of a native attention."""

    def __init__(
        self, wiring: Wiring, layers: list[str], own: NativeAttention, kernels: Kernels
    ) -> None:
        super().__init__(wiring, layers)
        self._own = own
        self._kernels = kernels
        self.chunks = self.tables = torch.empty(0, dtype=torch.int32)
        """Where the rows' sources are, as the kernels take them."""

    def begin(self, batch: Batch) -> None:
        """Lay out each sequence's source."""
        chunks: list[tuple[int, int, int, int]] = []
        tables: list[int] = []
        for item, rows in zip(batch.items, batch.segments.items, strict=True):
            if item.source is not None:
                count = len(item.tokens)
                # Looking both ways, each row sees as many keys as there are rows and others before.
                chunks.append((rows.start, count, item.source.length - count, len(tables)))
                tables.extend(item.source.blocks)
        self.chunks = torch.tensor(chunks, dtype=torch.int32).view(-1, 4)
        self.tables = torch.tensor(tables, dtype=torch.int32)

    def keep(self, layer: int, places: Sequence[int], key: Tensor, value: Tensor) -> None:
        """See `CrossAttention`."""
        self._own.keep(layer, torch.tensor(places, dtype=torch.int32), key, value)

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, view: View) -> Tensor:
        """Attend one layer."""
        del key, value
        flat = query.flatten(1).contiguous()
        return self.attend_rows(self._kernels, layer, flat, view).view(query.shape)

    def attend_rows(
        self, kernels: Kernels | Recorder, layer: int, query: Tensor, view: View
    ) -> Tensor:
        """Attend one layer: queries [T, queries x width] → as they are."""
        own = self._own
        return kernels.attend(
            query, own.heads, own.cache.of(layer), self.chunks, self.tables,
            view.scale, False, None, view.cap, view.sinks, of_sources=True,
        )  # fmt: skip


class PlainCrossAttention(CrossAttention):
    """In plain PyTorch, in the cache of a plain attention."""

    def __init__(self, wiring: Wiring, layers: list[str], own: PlainAttention) -> None:
        super().__init__(wiring, layers)
        self._own = own
        self._sources: list[tuple[slice, Tensor]] = []

    def begin(self, batch: Batch) -> None:
        """Find the places of each sequence's source."""
        self._sources = [
            (
                slice(rows.start, rows.end),
                torch.tensor(
                    places_of(item.source.blocks, 0, item.source.length),
                    device=batch.tokens.device,
                ),
            )
            for item, rows in zip(batch.items, batch.segments.items, strict=True)
            if item.source is not None
        ]

    def keep(self, layer: int, places: Sequence[int], key: Tensor, value: Tensor) -> None:
        """See `CrossAttention`."""
        cache = self._own.cache
        if cache is not None:
            cache.write(layer, torch.tensor(places, device=key.device), key, value)

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, view: View) -> Tensor:
        """Attend one layer."""
        del key, value
        cache = self._own.cache
        if cache is None:
            raise RuntimeError("A model without a cache looks at no source.")
        out = torch.empty_like(query)
        for rows, places in self._sources:
            keys, values = cache.keys[layer][places], cache.values[layer][places]
            out[rows] = view.attend(
                query[rows].transpose(0, 1)[None],
                keys.transpose(0, 1)[None],
                values.transpose(0, 1)[None],
                None,
                None,
            )[0].transpose(0, 1)
        return out
