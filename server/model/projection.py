"""Projections: several of the base's linear modules computed as one product."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from deltas.base import linear_weight
from deltas.kernels import Kernels, Recorder
from deltas.kernels.backend import Added, Packed
from deltas.wiring import Wiring


@dataclass(frozen=True)
class Projection:
    """Modules that read the same rows; `sites` names them, `ends` says where each output ends."""

    matrix: Packed
    sites: tuple[str, ...]
    ends: tuple[int, ...]

    @classmethod
    def of(
        cls, kernels: Kernels, modules: Mapping[str, nn.Linear | Conv1D], *, quantize: bool
    ) -> "Projection":
        """Pack modules, by site name, one under the other; rounded to 8 bits if told to."""
        weights: list[Tensor] = [linear_weight(module) for module in modules.values()]
        biases: list[Tensor | None] = [module.bias for module in modules.values()]
        bias = None
        if any(each is not None for each in biases):
            pairs = zip(biases, weights, strict=True)
            bias = torch.cat([w.new_zeros(len(w)) if b is None else b for b, w in pairs])
        pack = kernels.pack_bytes if quantize else kernels.pack
        matrix = pack(torch.cat(weights), bias)
        return cls(matrix, tuple(modules), tuple(accumulate(len(each) for each in weights)))

    @property
    def tensors(self) -> Iterator[Tensor]:
        """All that it multiplies by."""
        matrix = self.matrix
        found = (matrix.data, matrix.bias, matrix.scales)
        return (tensor for tensor in found if tensor is not None)

    def __call__(self, kernels: Kernels | Recorder, wiring: Wiring, x: Tensor) -> Tensor:
        """The outputs side by side for rows x, with what the deltas make of them.

        A row is computed in one way whatever deltas the others have.
        """
        if not wiring.act_at(self.sites):
            return kernels.linear(x, self.matrix)
        added = wiring.added(self.sites)
        y = kernels.linear(x, self.matrix, added)
        if wiring.act_beyond(self.sites):
            self._change(kernels, wiring, x, y, added)
        return y

    def _change(
        self,
        kernels: Kernels | Recorder,
        wiring: Wiring,
        x: Tensor,
        y: Tensor,
        added: Added | None,
    ) -> None:
        """Let the deltas change first what each module reads, then what it says."""
        xs = wiring.before_all(self.sites, x)
        ys = y.tensor_split(self.ends[:-1], dim=1)
        for number, inputs in enumerate(xs):
            if inputs is not x:
                whole = kernels.linear(inputs, self.matrix, added)
                ys[number].copy_(whole.tensor_split(self.ends[:-1], dim=1)[number])
        changed = wiring.after_all(self.sites, xs, ys, beyond=True)
        for old, new in zip(ys, changed, strict=True):
            if new is not old:
                old.copy_(new)
