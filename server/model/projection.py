"""Projections: several of the base's linear modules computed as one product."""

from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor, nn

from deltas.kernels import Kernels
from deltas.kernels.library import Packed
from deltas.wiring import Wiring


@dataclass(frozen=True)
class Projection:
    """Modules that read the same rows; `sites` names them, `ends` says where each output ends."""

    matrix: Packed
    sites: tuple[str, ...]
    ends: tuple[int, ...]

    @classmethod
    def of(cls, kernels: Kernels, modules: dict[str, nn.Linear]) -> "Projection":
        """Pack modules, by site name, one under the other."""
        weights: list[Tensor] = [module.weight for module in modules.values()]
        biases: list[Tensor | None] = [module.bias for module in modules.values()]
        present = [bias for bias in biases if bias is not None]
        matrix = kernels.pack(torch.cat(weights), torch.cat(present) if present else None)
        return cls(matrix, tuple(modules), tuple(accumulate(len(each) for each in weights)))

    def __call__(self, kernels: Kernels, wiring: Wiring, x: Tensor) -> Tensor:
        """The outputs side by side for rows x, with what the deltas make of them."""
        y = kernels.linear(x, self.matrix)
        start = 0
        for site, end in zip(self.sites, self.ends, strict=True):
            if wiring.acts_at(site):
                self._change(kernels, wiring, site, x, y[:, start:end], slice(start, end))
            start = end
        return y

    def _change(
        self, kernels: Kernels, wiring: Wiring, site: str, x: Tensor, y: Tensor, columns: slice
    ) -> None:
        inputs = wiring.before(site, x)
        if inputs is not x:
            y.copy_(kernels.linear(inputs, self.matrix)[:, columns])
        changed = wiring.after(site, inputs, y)
        if changed is not y:
            y.copy_(changed)
