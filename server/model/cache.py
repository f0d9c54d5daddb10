"""The key/value cache: flat rows of blocks, one pair of tensors a layer."""

import torch
from torch import Tensor

from deltas.base import BaseSpec
from deltas.site import Role

BLOCK = 16
"""Tokens in a block."""


class KeyValueCache:
    """Keys and values [blocks * BLOCK, heads, width] of every layer.

    Which blocks belong to which sequence is the scheduler's business.
    """

    def __init__(
        self, base: BaseSpec, blocks: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.blocks = blocks
        shapes = [
            (blocks * BLOCK, site.heads, site.outputs) for site in base.of_role(Role.ATTENTION)
        ]
        self.keys = [torch.zeros(shape, dtype=dtype, device=device) for shape in shapes]
        self.values = [torch.zeros(shape, dtype=dtype, device=device) for shape in shapes]

    def write(self, layer: int, places: Tensor, keys: Tensor, values: Tensor) -> None:
        """Store keys and values [n, heads, width] at places [n]."""
        self.keys[layer].index_copy_(0, places, keys.to(self.keys[layer].dtype))
        self.values[layer].index_copy_(0, places, values.to(self.values[layer].dtype))


def bytes_per_block(base: BaseSpec, dtype: torch.dtype) -> int:
    """What one block takes over all layers, keys and values, in bytes."""
    widths = sum(site.heads * site.outputs for site in base.of_role(Role.ATTENTION))
    return 2 * widths * BLOCK * dtype.itemsize
