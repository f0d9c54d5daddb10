"""Attention: the one function that every family's modules call, and who computes it.

Transformers lets a model's attention be replaced by name (`AttentionInterface`). Ours hands the
packed rows to the model's `Attention`, which knows the step's sequences and holds their cache.
"""

from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel

from deltas.asking import let_ask, use_attention
from deltas.base import BaseSpec
from deltas.errors import UnsupportedBase
from deltas.families import Family
from deltas.relative import share_tables
from deltas.site import Role, Rows, Site
from deltas.view import View
from deltas.wiring import Wiring
from server.model.batch import Batch

NAME = "polydelta"
_LAYER = "polydelta_layer"


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


def attach(attentions: Mapping[Rows, Attention], model: PreTrainedModel, base: BaseSpec) -> None:
    """Let them compute for a model, whose attention modules are those of the base's sites."""
    modules: list[nn.Module] = []
    for rows, attention in attentions.items():
        for index, site in enumerate(attention_sites(base, rows)):
            module = model.base_model.get_submodule(site.name)
            setattr(module, _LAYER, Layer(index, attention))
            modules.append(module)
    let_ask(modules, model, base.family, base.context, NAME)
    share_tables(modules, base.context, NAME)
    use_attention(model, NAME, base.family)


def attention_sites(base: BaseSpec, rows: Rows) -> list[Site]:
    """The attention sites of some rows, layer by layer."""
    return [site for site in base.of_role(Role.ATTENTION) if site.rows is rows]


@contextmanager
def detached(model: PreTrainedModel, family: Family) -> Generator[None]:
    """Let Transformers' own attention compute for a model, meanwhile."""
    use_attention(model, None, family)
    try:
        yield
    finally:
        use_attention(model, NAME, family)


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
    **said: Any,
) -> tuple[Tensor, None]:
    """Transformers' attention signature: tensors [1, heads, T, width] → [1, T, heads, width]."""
    view = View.of(module, query, key, value, attention_mask, **said)
    layer: Layer | None = getattr(module, _LAYER, None)
    if layer is None:
        raise UnsupportedBase(
            f"This base has attention ({type(module).__name__}) where its family has none. Serve a "
            "base of another architecture."
        )
    layer.seen[:] = [view]
    query, key, value = (tensor[0].transpose(0, 1) for tensor in (query, key, value))
    return layer.attention.attend(layer.index, query, key, value, view)[None], None


AttentionInterface.register(NAME, _attend)
