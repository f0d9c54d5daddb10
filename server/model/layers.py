"""Layers by native kernels instead of their modules: what the fast paths have in common.

What the modules compute stays the definition. A model is first run as it is, which tells how each
of its layers looks at keys; the fast path must then say the same, or it is not taken.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from deltas.base import LINEARS
from deltas.kernels import Kernels, Recorder
from deltas.kernels.backend import ACTIVATIONS
from deltas.wiring import Wiring
from server.model.base import Base
from server.model.batch import Batch
from server.model.cross_attention import NativeCrossAttention
from server.model.native_attention import Angles, NativeAttention
from server.model.projection import Projection

_NAMES = (
    "hidden_activation", "hidden_act", "activation", "activation_function", "dense_act_fn",
)  # fmt: skip
"""Where configurations name the non-linearity."""


@dataclass(frozen=True)
class Norm:
    """A norm's weight in float32, and a layer norm's bias; `epsilon` is added to the variance."""

    weight: Tensor
    epsilon: float
    bias: Tensor | None = None

    @classmethod
    def of(cls, module: nn.Module, offset: float = 0.0) -> "Norm":
        """Read a layer norm, or any of Transformers' RMS norms; `offset` is added to its weight."""
        epsilon = getattr(module, "variance_epsilon", None) or getattr(module, "eps", None)
        weight, bias = module.get_parameter("weight"), getattr(module, "bias", None)
        # Only layer norms make nothing of what is the same everywhere.
        if bias is None and not module(torch.ones_like(weight)[None]).any():
            bias = torch.zeros_like(weight)
        own = None if bias is None else bias.float()
        return cls(weight.float() + offset, float(str(epsilon)), own)

    def __call__(self, kernels: Kernels | Recorder, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Add y to x in place, if there is one, and return x normalised."""
        return kernels.add_norm(x, y, self.weight, self.epsilon, self.bias)


@dataclass(frozen=True)
class Means:
    """What layers by kernels are made of; `activation` is the base's, as the kernels number it."""

    base: Base
    activation: int
    wiring: Wiring
    attention: NativeAttention
    kernels: Kernels


class KernelLayers(ABC):
    """A base's layers, which kernels compute: [T] tokens → [T, hidden] last hidden states."""

    def __init__(self, means: Means) -> None:
        self.means = means
        self._family = means.base.spec.family
        self._wiring = means.wiring
        self._attention = means.attention
        self._activation = means.activation
        self._backbone: nn.Module = means.base.model.base_model
        self.cross: NativeCrossAttention | None = None
        """What attends to sources, if these layers do."""
        self.projections: list[Projection] = []
        """All projections of the layers."""

    def __call__(self, batch: Batch) -> Tensor:
        """Compute one step."""
        return self.run(self.means.kernels, self.embed(batch), self.angles(batch))

    @abstractmethod
    def embed(self, batch: Batch) -> Tensor:
        """The rows' vectors [T, hidden]."""

    def angles(self, batch: Batch) -> dict[str, Angles]:
        """Cosines and sines of the rows' positions, for each sort of layer that turns its heads."""
        del batch
        return {}

    @abstractmethod
    def run(self, kernels: Kernels | Recorder, x: Tensor, angles: dict[str, Angles]) -> Tensor:
        """All layers over embedded rows x, which are written into."""

    def _projection(self, layer: str, *names: str) -> Projection:
        sites = [f"{layer}.{name}" for name in names]
        modules = {site: self._backbone.get_submodule(site) for site in sites}
        linears = {site: each for site, each in modules.items() if isinstance(each, LINEARS)}
        kernels, quantize = self.means.kernels, self.means.base.quantize
        projection = Projection.of(kernels, linears, quantize=quantize)
        self.projections.append(projection)
        return projection

    def _deltas_after(self, site: str, x: Tensor, y: Tensor) -> Tensor:
        """What deltas at a block make of its output y, x being its residual."""
        return self._wiring.after(site, x, y) if self._wiring.act_at((site,)) else y


def activation_of(base: Base) -> int | None:
    """The number of a base's non-linearity; None where the kernels have no such."""
    config, layers = base.model.config, base.spec.family.pre_norm
    if layers is not None and layers.activation is not None:
        return ACTIVATIONS[layers.activation]
    name = next((found for each in _NAMES if (found := getattr(config, each, None))), None)
    return ACTIVATIONS.get(str(name))
