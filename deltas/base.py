"""The frozen base as deltas see it: its sites, its measures and its fingerprint."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.pytorch_utils import Conv1D

from deltas.delta import Part, ProblemType
from deltas.errors import UnsupportedBase
from deltas.families import Family, family_of
from deltas.families.family import (
    AFTER_ATTENTION,
    AFTER_CROSS_ATTENTION,
    AFTER_FEED_FORWARD,
    Stack,
)
from deltas.families.fitting import fitted
from deltas.site import Role, Rows, Site
from deltas.tokenizer import TokenizerSpec

__all__ = [
    "AFTER_ATTENTION",
    "AFTER_FEED_FORWARD",
    "HEAD_SITE",
    "LINEARS",
    "LM_HEAD_SITE",
    "BaseSpec",
    "describe",
    "fingerprint",
    "linear_shape",
    "linear_weight",
]

HEAD_SITE = "head"
LM_HEAD_SITE = "lm_head"

LINEARS = (nn.Linear, Conv1D)
"""The classes of linear modules; GPT-2's Conv1D stores its weight transposed."""

_SAMPLES = 256
_UNBOUNDED = 2048
"""The context where a configuration says nothing."""
_BY_LENGTH = ("longrope", "dynamic")
"""How heads are rotated where that depends on the longest text of a step, past a length."""


@dataclass(frozen=True)
class BaseSpec:
    """What a delta can be checked against without touching the model.

    `sites` maps names to sites; `layers` counts the layers of a sequence's own rows, `hidden`
    is their width and `context` the greatest number of positions. `tokenizer` is None where nothing
    is known of it;
    `problem_type` is what its configuration says of classifiers, `own_heads` are tensors which its
    files hold for heads, by their names there: a delta that keeps none of its own has those.
    `embedding` is the head that makes its embeddings, None where its files say nothing of it.
    """

    name: str
    family: Family
    fingerprint: str
    sites: dict[str, Site]
    layers: int
    hidden: int
    vocabulary: int
    context: int
    tokenizer: TokenizerSpec | None = None
    problem_type: ProblemType | None = None
    own_heads: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    embedding: Part | None = None

    @property
    def embedding_width(self) -> int:
        """How many values its embeddings have, 0 where that is its width."""
        tensors = self.embedding.tensors if self.embedding else {}
        weights = [tensor for name, tensor in tensors.items() if name.endswith(".weight")]
        return len(weights[-1]) if weights else 0

    @property
    def layer_paths(self) -> tuple[str, ...]:
        """The paths of the layers of own rows, under the backbone, in the order of the modules."""
        return self.layer_paths_of(Rows.OWN)

    def layer_paths_of(self, rows: Rows) -> tuple[str, ...]:
        """The same for the layers of some rows."""
        ends = f".{AFTER_ATTENTION}"
        theirs = (site.name for site in self.sites.values() if site.rows is rows)
        return tuple(name.removesuffix(ends) for name in theirs if name.endswith(ends))

    def of_role(self, role: Role) -> list[Site]:
        """The sites of one role, in the order of the modules."""
        return [site for site in self.sites.values() if site.role is role]


def describe(model: PreTrainedModel, name: str, family: Family | None = None) -> BaseSpec:
    """Read a live model's sites and measures, which is of this family or of a known one.

    Raises UnsupportedBase if its architecture has no family record, or its modules are not where
    the record says.
    """
    config = model.config
    family = family or family_of(config)
    try:
        return _described(model, name, family)
    except AttributeError as error:
        raise UnsupportedBase(
            f"The modules of the base '{name}' are not where the record of {family.name} says: "
            f"{error}."
        ) from error


def _described(model: PreTrainedModel, name: str, family: Family) -> BaseSpec:
    config = model.config
    layers = _layers(model.base_model, family.layers)
    family = fitted(family, next(iter(layers.values())), config)
    sites = {site.name: site for site in _sites(model, config, family)}
    return BaseSpec(
        name=name,
        family=family,
        fingerprint=fingerprint(model),
        sites=sites,
        layers=len(layers),
        hidden=config.hidden_size,
        vocabulary=config.vocab_size,
        context=_context(config) - family.first_position,
        problem_type=ProblemType(config.problem_type) if config.problem_type else None,
    )


def fingerprint(model: PreTrainedModel) -> str:
    """Hash a model's measures and a sample of its weights to 16 hex digits.

    Samples are rounded to bfloat16, so that a base loaded at another precision keeps its
    fingerprint.
    """
    backbone: nn.Module = model.base_model
    digest = hashlib.sha256(model.config.model_type.encode())
    for name, parameter in backbone.named_parameters():
        digest.update(json.dumps([name, list(parameter.shape)]).encode())
        flat = parameter.detach().reshape(-1)
        sample = flat[:: max(1, flat.numel() // _SAMPLES)][:_SAMPLES]
        digest.update(sample.to("cpu", torch.bfloat16).view(torch.int16).numpy().tobytes())
    return digest.hexdigest()[:16]


def _sites(model: PreTrainedModel, config: PreTrainedConfig, family: Family) -> Iterator[Site]:
    hidden, backbone = int(config.hidden_size), model.base_model
    for stack in family.stacks:
        yield from _sites_of(stack, backbone, config, family)
    if family.causal:
        yield Site(LM_HEAD_SITE, Role.LINEAR, hidden, int(config.vocab_size))
    yield Site(HEAD_SITE, Role.HEAD, hidden, hidden)


def _sites_of(
    stack: Stack, backbone: nn.Module, config: PreTrainedConfig, family: Family
) -> Iterator[Site]:
    hidden, rows = int(config.hidden_size), stack.rows
    width = int(getattr(config, "head_dim", None) or hidden // config.num_attention_heads)
    table = backbone.get_submodule(stack.embedding).get_parameter("weight")
    yield Site(stack.embedding, Role.EMBEDDING, *table.shape, rows=rows)
    reading = tuple(_reading(family))
    layers = _layers(backbone, stack.layers)
    for layer, module in layers.items():
        for name, linear in module.named_modules(prefix=layer):
            if isinstance(linear, LINEARS):
                read = Rows.SOURCE if name.endswith(reading) else rows
                yield Site(name, Role.LINEAR, *linear_shape(linear), rows=read)
    for layer, module in layers.items():
        for path, whose in _attentions(stack, family):
            heads = _key_heads(module.get_submodule(path), config, family)
            yield Site(f"{layer}.{path}", Role.ATTENTION, hidden, width, heads, whose)
        for block in stack.blocks:
            yield Site(f"{layer}.{block}", Role.BLOCK, hidden, hidden, rows=rows)


def _attentions(stack: Stack, family: Family) -> Iterator[tuple[str, Rows]]:
    """The attention modules of a layer, and whose rows these look at."""
    if family.attention is not None:
        yield family.attention, stack.rows
    if family.encoder is not None and AFTER_CROSS_ATTENTION in stack.blocks:
        yield family.encoder.cross_attention, Rows.CROSS


def _reading(family: Family) -> Iterator[str]:
    """The ends of the names of projections that read a source from within a decoder's layers."""
    encoder = family.encoder
    if encoder is not None:
        yield from (f".{encoder.cross_attention}.{name}" for name in encoder.keys)


def _layers(backbone: nn.Module, list_path: str) -> dict[str, nn.Module]:
    """The layers by their paths."""
    before, several, behind = list_path.partition(".*")
    lists = backbone.get_submodule(before).named_children() if several else ((before, None),)
    paths = [f"{before}.{name}{behind}" if several else name for name, _ in lists]
    return {
        f"{path}.{name}": layer
        for path in paths
        for name, layer in backbone.get_submodule(path).named_children()
    }


def _key_heads(attention: nn.Module, config: PreTrainedConfig, family: Family) -> int:
    if family.key_heads is not None:
        return int(getattr(attention, family.key_heads))
    return int(getattr(config, "num_key_value_heads", None) or config.num_attention_heads)


def _context(config: PreTrainedConfig) -> int:
    """The greatest number of positions that are rotated alike whatever else is in a step."""
    rotation: dict[str, Any] = getattr(config, "rope_parameters", None) or {}
    kinds = [each for each in rotation.values() if isinstance(each, dict)] or [rotation]
    trained = [
        int(each["original_max_position_embeddings"])
        for each in kinds
        if each.get("rope_type") in _BY_LENGTH and each.get("original_max_position_embeddings")
    ]
    # BLOOM's configuration tells no context, but the length that it was trained with.
    longest = (getattr(config, name, None) for name in ("max_position_embeddings", "seq_length"))
    return min([int(next(filter(None, longest), _UNBOUNDED)), *trained])


def linear_shape(module: nn.Linear | Conv1D) -> tuple[int, int]:
    """The input and output widths of a linear module."""
    outputs, inputs = linear_weight(module).shape
    return inputs, outputs


def linear_weight(module: nn.Linear | Conv1D) -> Tensor:
    """The weight of a linear module, [outputs, inputs]."""
    return module.weight if isinstance(module, nn.Linear) else module.weight.T
