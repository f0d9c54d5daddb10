"""Attention: the one function that every family's modules call, and who computes it.

Transformers lets a model's attention be replaced by name (`AttentionInterface`). Ours hands the
packed rows to the model's `Attention`, which knows the step's sequences and holds their cache.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from transformers import AttentionInterface

from deltas.wiring import Wiring
from server.model.batch import Batch

NAME = "polydelta"
_LAYER = "polydelta_layer"


@dataclass(frozen=True, slots=True)
class View:
    """How a layer's rows look at keys: their scale, at earlier ones alone, within a window."""

    scale: float
    causal: bool
    window: int | None = None


class Attention(ABC):
    """Attends a step's rows, and keeps the keys and values of what may go on.

    `layers` are the attention sites in order. Rows of one sequence never see another's, and a
    delta's own keys and values come first.
    """

    def __init__(self, wiring: Wiring, layers: list[str]) -> None:
        self._wiring = wiring
        self._layers = layers

    @abstractmethod
    def begin(self, batch: Batch) -> None:
        """Get ready for a step; sequences that begin get their prefixes."""

    @abstractmethod
    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, view: View) -> Tensor:
        """Attend one layer: query [T, heads, width], keys and values of fewer heads → as query."""


@dataclass(frozen=True)
class Layer:
    """One attention module's place in the model."""

    index: int
    attention: Attention
    seen: list[View] = field(default_factory=list[View])
    """How the module last asked to look."""


def attach(attention: Attention, modules: list[nn.Module]) -> None:
    """Tell each attention module, in the order of the layers, who computes for it."""
    for index, module in enumerate(modules):
        setattr(module, _LAYER, Layer(index, attention))


def view_of(module: nn.Module) -> View:
    """How a module looked when the model was last run."""
    layer: Layer = getattr(module, _LAYER)
    return layer.seen[-1]


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Transformers' attention signature: tensors [1, heads, T, width] → [1, T, heads, width]."""
    del attention_mask
    layer: Layer = getattr(module, _LAYER)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    view = View(scale, bool(getattr(module, "is_causal", False)), sliding_window)
    layer.seen[:] = [view]
    query, key, value = (tensor[0].transpose(0, 1) for tensor in (query, key, value))
    return layer.attention.attend(layer.index, query, key, value, view)[None], None


AttentionInterface.register(NAME, _attend)
