"""Key/value caches: blocks of tokens, one pair of tensors a layer.

Which blocks belong to which sequence is the scheduler's business.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from deltas.base import BaseSpec
from deltas.kernels import Kernels
from deltas.site import Role, Rows, Site

BLOCK = 16
"""Tokens in a block; the kernels know it too."""


def places_of(blocks: Sequence[int], start: int, end: int) -> list[int]:
    """Where a sequence's tokens [start, end) are in the cache."""
    return [blocks[at // BLOCK] * BLOCK + at % BLOCK for at in range(start, end)]


class KeyValueCache:
    """Keys and values [blocks * BLOCK, heads, width] of every layer."""

    def __init__(
        self, sites: Sequence[Site], blocks: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        shapes = [(blocks * BLOCK, site.heads, site.outputs) for site in sites]
        self.keys = [torch.zeros(shape, dtype=dtype, device=device) for shape in shapes]
        self.values = [torch.zeros(shape, dtype=dtype, device=device) for shape in shapes]

    def write(self, layer: int, places: Tensor, keys: Tensor, values: Tensor) -> None:
        """Store keys and values [n, heads, width] at places [n]."""
        self.keys[layer].index_copy_(0, places, keys.to(self.keys[layer].dtype))
        self.values[layer].index_copy_(0, places, values.to(self.values[layer].dtype))

    def copy(self, blocks: Sequence[tuple[int, int]]) -> None:
        """Copy the first block of each pair to the second, none of which is a first one."""
        for tensor in (*self.keys, *self.values):
            _copy(tensor.view(-1, BLOCK, *tensor.shape[1:]), blocks)


class PanelCache:
    """Keys and values [blocks, heads, size] of every layer, each block as the kernels pack it."""

    def __init__(self, kernels: Kernels, sites: list[Site], blocks: int) -> None:
        self._arena = kernels.arena
        self._dtype = kernels.dtype
        self._heads = sites[0].heads
        self._sizes = kernels.cache_sizes(sites[0].outputs)
        self.keys = [self._empty(blocks, 0) for _ in sites]
        self.values = [self._empty(blocks, 1) for _ in sites]

    def of(self, layer: int) -> tuple[Tensor, Tensor]:
        """One layer's keys and values."""
        return self.keys[layer], self.values[layer]

    def copy(self, blocks: Sequence[tuple[int, int]]) -> None:
        """Copy the first block of each pair to the second, none of which is a first one."""
        for tensor in (*self.keys, *self.values):
            _copy(tensor, blocks)

    def grow(self, blocks: int) -> None:
        """Make room for as many blocks or more, whatever they held."""
        if blocks > len(self.keys[0]):
            blocks = 1 << (blocks - 1).bit_length()
            self.keys = [self._empty(blocks, 0) for _ in self.keys]
            self.values = [self._empty(blocks, 1) for _ in self.values]

    def _empty(self, blocks: int, which: int) -> Tensor:
        return self._arena.take(self._dtype, blocks, self._heads, self._sizes[which])


def _copy(tensor: Tensor, blocks: Sequence[tuple[int, int]]) -> None:
    for source, copy in blocks:
        tensor[copy] = tensor[source]


def bytes_per_block(base: BaseSpec, dtype: torch.dtype) -> int:
    """What one block takes over all layers, keys and values, in bytes."""
    sites = [site for site in base.of_role(Role.ATTENTION) if site.rows is Rows.OWN]
    widths = sum(site.heads * site.outputs for site in sites)
    return 2 * widths * BLOCK * dtype.itemsize
