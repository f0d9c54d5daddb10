"""Attention by the native kernels: one call a layer, over a cache of panels."""

from collections.abc import Hashable, Iterator, Sequence

import torch
from torch import Tensor

from deltas.errors import UnsupportedBase
from deltas.kernels import Kernels, Recorder
from deltas.site import Site
from deltas.view import View
from deltas.wiring import Wiring
from server.model.attention import Attention
from server.model.batch import Batch, Item
from server.model.cache import BLOCK, PanelCache, places_of

Angles = tuple[Tensor, Tensor]
"""Cosines and sines of the rows' positions, each [T, at most a head's width] in float32."""


class NativeAttention(Attention):
    """Queries, keys and values come fused; the cache's blocks are what the kernels read.

    An encoder keeps nothing: its cache is one layer deep, its blocks are dealt out anew for every
    step, and each layer writes over the one before.
    """

    def __init__(
        self, wiring: Wiring, sites: list[Site], kernels: Kernels, blocks: int, queries: int
    ) -> None:
        super().__init__(wiring, [site.name for site in sites])
        self.heads = (queries, sites[0].heads, sites[0].outputs)
        self.cache = PanelCache(kernels, sites if blocks else sites[:1], blocks)
        self._kernels = kernels
        self._keeps = blocks > 0
        self._prefixed: list[tuple[Item, Sequence[int]]] = []
        self.places = self.chunks = self.tables = torch.empty(0, dtype=torch.int32)
        """Where the step's tokens and blocks are, as the kernels take them."""

    @property
    def recordable(self) -> bool:
        """Whether the step's attention is all in calls of the kernels on its rows."""
        return self._keeps or not self._prefixed

    @property
    def layout(self) -> Hashable:
        """How many blocks the cache has: it moves whenever that changes, and recordings end."""
        return len(self.cache.keys[0])

    def begin(self, batch: Batch) -> None:
        """Lay out each sequence's blocks and write the prefixes of sequences that begin."""
        tables = list(self._blocks(batch.items))
        places: list[int] = []
        chunks: list[tuple[int, int, int, int]] = []
        flat: list[int] = []
        for item, rows, blocks in zip(batch.items, batch.segments.items, tables, strict=True):
            end = item.context + len(item.tokens)
            places.extend(places_of(blocks, item.context, end))
            chunks.append((rows.start, len(item.tokens), item.context, len(flat)))
            flat.extend(blocks)
        self.places = torch.tensor(places, dtype=torch.int32)
        self.chunks = torch.tensor(chunks, dtype=torch.int32)
        self.tables = torch.tensor(flat, dtype=torch.int32)
        self._prefixed = [
            (item, blocks)
            for item, blocks in zip(batch.items, tables, strict=True)
            if item.offset == 0 and item.extent.cached
        ]
        if self._keeps:
            for layer in range(len(self._layers)):
                self._place_prefixes(layer)

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, view: View) -> Tensor:
        """Attend one layer."""
        if (query.shape[1], *key.shape[1:]) != self.heads:
            raise UnsupportedBase(
                f"The attention at '{self._layers[layer]}' has other heads than the base's "
                "configuration says. Serve a base of another architecture."
            )
        fused = torch.cat([tensor.flatten(1) for tensor in (query, key, value)], dim=1)
        return self.attend_fused(self._kernels, layer, fused, view).view(query.shape)

    def attend_fused(
        self,
        kernels: Kernels | Recorder,
        layer: int,
        fused: Tensor,
        view: View,
        angles: Angles | None = None,
        norms: tuple[Tensor | None, Tensor | None] = (None, None),
        epsilon: float = 0.0,
        *,
        neighbours: bool = False,
    ) -> Tensor:
        """Attend one layer from [T, (queries + 2 x keys) x width], which is rotated in place.

        `norms` are the weights of the query and key heads' norms; `neighbours` are rotated
        together, else halves. Returns [T, queries x width].
        """
        if not self._keeps:
            self._place_prefixes(layer)
        cache = self.cache.of(layer if self._keeps else 0)
        kernels.place(
            fused, self.heads, norms, epsilon, angles, self.places, cache, neighbours=neighbours
        )
        return kernels.attend(
            fused, self.heads, cache, self.chunks, self.tables, view.scale, view.causal,
            view.window, view.cap, view.sinks, view.bias,
        )  # fmt: skip

    def keep(self, layer: int, places: Tensor, key: Tensor, value: Tensor) -> None:
        """Store keys and values [n, heads, width] of one layer at places [n] int32."""
        fused = torch.cat([tensor.flatten(1) for tensor in (key, value)], dim=1)
        cache = self.cache.of(layer if self._keeps else 0)
        heads = (0, *self.heads[1:])
        self._kernels.place(fused, heads, (None, None), 0.0, None, places, cache)

    def _blocks(self, items: Sequence[Item]) -> Iterator[Sequence[int]]:
        """The blocks of each item's sequence: its own, or for an encoder the next free ones."""
        if self._keeps:
            yield from (item.blocks for item in items)
            return
        counts = [-(-(item.context + len(item.tokens)) // BLOCK) for item in items]
        self.cache.grow(sum(counts))
        first = 0
        for count in counts:
            yield range(first, first + count)
            first += count

    def _place_prefixes(self, layer: int) -> None:
        for item, blocks in self._prefixed:
            pair = self._wiring.key_values(self._layers[layer], item.slot)
            if pair is not None:
                places = places_of(blocks, 0, len(pair[0]))
                self.keep(layer, torch.tensor(places, dtype=torch.int32), *pair)
