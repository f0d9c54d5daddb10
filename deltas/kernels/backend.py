"""What is asked of kernels on whatever device, and what passes between them and who asks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

ACTIVATIONS = {
    name: code
    for code, names in enumerate(
        (
            ("none",), ("relu",), ("gelu",), ("gelu_new", "gelu_pytorch_tanh"), ("silu", "swish"),
            ("tanh",), ("leakyrelu",),
        )
    )
    for name in names
}  # fmt: skip
"""The names of non-linearities, as the kernels number them."""

MAX_RANK = 1024
"""The largest rank that small-rank kernels have room for."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A matrix [outputs, inputs] as the kernels want it; `bias` [outputs] if it has one.

    One of bytes has `scales`, a float32 for each output and for what may pad them.
    """

    data: Tensor
    outputs: int
    inputs: int
    bias: Tensor | None = None
    scales: Tensor | None = None


SmallRankSite: TypeAlias = tuple[Tensor, Tensor, Tensor]
"""Rows x [T, inputs], rows y [T, outputs], and the parts of a site, [slots, 6] int64.

A part is the addresses of packed A and B and of their biases, the rank (0 for none) and the
activation's number.
"""

Added: TypeAlias = tuple[Tensor, Tensor]
"""What parts add to a projection: additions [n, 4] int64, and runs [m, 3] int32 as `small_rank`'s.

An addition is the address of a site's parts by slot, how many there are, the first output that is
the site's, and how many outputs those are.
"""


@dataclass(frozen=True, slots=True)
class Bias:
    """What scores of attention gain: `table` [query heads, places] in float32.

    A key's is at its place in its sequence; where there is a `centre`, at its distance from the row
    that looks at it, added to that.
    """

    table: Tensor
    centre: int | None = None

    def of(self, rows: Tensor, keys: Tensor) -> Tensor:
        """Those of rows and keys at such places, [query heads, rows, keys]."""
        places = keys.expand(len(rows), -1)
        if self.centre is not None:
            places = self.centre + keys - rows[:, None]
        return self.table[:, places]


class SmallRank(Protocol):
    """Who computes small-rank products, or writes down that they are to be computed."""

    def small_rank(self, sites: Sequence[SmallRankSite], runs: Tensor) -> None:
        """Add to each site's y each run's own small-rank product of its x."""


class SmallRankKernels(SmallRank, Protocol):
    """What small-rank banks ask of kernels, on whatever device."""

    dtype: torch.dtype
    variant: str

    def pack(self, weight: Tensor, bias: Tensor | None = None) -> Packed:
        """Lay a matrix [outputs, inputs] out for `small_rank`."""
        ...
