"""Attention over a padded batch whose sequences all have the delta under training.

Transformers lets a model's attention be replaced by name (`AttentionInterface`); ours puts the
delta's own keys and values first, for every family alike.
"""

from dataclasses import dataclass, field
from typing import Any, TypedDict

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel

from deltas.asking import let_ask, use_attention
from deltas.base import BaseSpec
from deltas.relative import share_tables
from deltas.site import Role, Rows, Site
from deltas.view import View
from deltas.wiring import Wiring

NAME = "polydelta-training"
_LAYER = "polydelta_training_layer"

SLOT = 1
"""The slot of the delta under training."""


class KeyValues(TypedDict):
    """The keys and values [rows, heads, width] of one attention module."""

    key: Tensor
    value: Tensor


@dataclass
class Step:
    """What the attention modules share: the delta's wiring and how many keys each sequence has.

    `lengths` [batch] are by whose rows these keys are of, a delta's own left out. While `record` is
    there, the keys and values of the batch's first sequence go into it.
    """

    wiring: Wiring
    lengths: dict[Rows, Tensor] = field(default_factory=dict[Rows, Tensor])
    record: dict[str, KeyValues] | None = None


@dataclass(frozen=True, slots=True)
class _Layer:
    site: Site
    step: Step


def attach(step: Step, model: PreTrainedModel, base: BaseSpec) -> None:
    """Tell each attention module of a model whose keys and values come first."""
    sites = base.of_role(Role.ATTENTION)
    modules = [model.base_model.get_submodule(site.name) for site in sites]
    for site, module in zip(sites, modules, strict=True):
        setattr(module, _LAYER, _Layer(site, step))
    let_ask(modules, model, base.family, base.context, NAME)
    share_tables(modules, base.context, NAME)
    use_attention(model, NAME, base.family)


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **said: Any,
) -> tuple[Tensor, None]:
    """Transformers' attention signature: tensors [batch, heads, rows, width]."""
    view = View.of(module, query, key, value, attention_mask, **said)
    layer: _Layer = getattr(module, _LAYER)
    if layer.step.record is not None:
        layer.step.record[layer.site.name] = KeyValues(
            key=key[0].transpose(0, 1), value=value[0].transpose(0, 1)
        )
    before = 0
    pair = layer.step.wiring.key_values(layer.site.name, SLOT)
    if pair is not None:
        before = len(pair[0])
        key, value = (
            torch.cat([own.transpose(0, 1).expand(len(rows), -1, -1, -1), rows], dim=2)
            for own, rows in zip(pair, (key, value), strict=True)
        )
    keys = torch.arange(key.shape[2], device=query.device)
    ends = before + layer.step.lengths[layer.site.rows][:, None]
    # Nothing looks at padding.
    mask = (keys < ends)[:, None, None]
    if layer.site.rows is Rows.CROSS:
        return view.attend(query, key, value, mask, None).transpose(1, 2), None
    rows = keys[before:]
    # Padding itself must see something to have finite shares.
    padding = (rows >= ends)[:, None, :, None]
    mask = mask & (view.sees(rows, keys) | padding)
    bias = None if view.bias is None else view.bias.of(rows, keys)
    return view.attend(query, key, value, mask, bias).transpose(1, 2), None


AttentionInterface.register(NAME, _attend)
