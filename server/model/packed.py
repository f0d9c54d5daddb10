"""Packed linears: a base's own modules, whose products are the kernels'."""

from collections.abc import Iterable
from functools import partial

from torch import Tensor, nn

from deltas.base import LINEARS
from deltas.kernels import Kernels
from deltas.kernels.backend import Packed
from deltas.wiring import Wiring
from server.model.projection import Projection


class PackedLinears:
    """The linear modules at some sites, computing by packed matrices instead of their weights.

    Only their `forward` is another: what hooks them, such as a wiring, acts as it did.
    """

    def __init__(
        self, kernels: Kernels, wiring: Wiring, sites: Iterable[str], *, quantize: bool
    ) -> None:
        found = {site: wiring.module(site) for site in sites}
        modules = {site: each for site, each in found.items() if isinstance(each, LINEARS)}
        self._modules: list[nn.Module] = list(modules.values())
        self.projections = tuple(
            Projection.of(kernels, {site: module}, quantize=quantize)
            for site, module in modules.items()
        )
        for module, projection in zip(self._modules, self.projections, strict=True):
            module.forward = partial(_forward, kernels, projection.matrix)

    def undo(self) -> None:
        """Give the modules their own `forward` back."""
        for module in self._modules:
            del module.forward


def _forward(kernels: Kernels, matrix: Packed, x: Tensor) -> Tensor:
    rows = x.reshape(-1, matrix.inputs).contiguous()
    return kernels.linear(rows, matrix).view(*x.shape[:-1], matrix.outputs)
