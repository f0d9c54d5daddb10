"""Fitting: a family's record as one base's own settings have it."""

from dataclasses import replace

from torch import nn
from transformers import PreTrainedConfig

from deltas.families.family import Block, Family, HeadLayout

_POOLINGS = {"bos": "first", "cls": "first", "late": "late", "mean": "mean"}
"""The head kind's poolings by the names that configurations give them."""
_EPSILON = "norm_eps"


def fitted(family: Family, layer: nn.Module, config: PreTrainedConfig) -> Family:
    """Decide what a record leaves to a base, of which this is a layer and the configuration."""
    return replace(
        family,
        after_attention=_block(family.after_attention, layer),
        after_feed_forward=_block(family.after_feed_forward, layer),
        classifier=_head(family.classifier, config),
        tagger=_head(family.tagger, config),
    )


def _block(block: Block, layer: nn.Module) -> Block:
    if block.otherwise is None or getattr(layer, block.residual, None) is not None:
        return block
    return replace(block, residual=block.otherwise)


def _head(layout: HeadLayout | None, config: PreTrainedConfig) -> HeadLayout | None:
    if layout is None:
        return None
    said = getattr(config, layout.pooling, None)
    pooling = layout.pooling if said is None else _POOLINGS.get(str(said))
    if pooling is None:
        return None
    epsilon = getattr(config, _EPSILON, layout.epsilon) if layout.norm else layout.epsilon
    activations = tuple(str(getattr(config, name, name)) for name in layout.activations)
    return replace(layout, pooling=pooling, activations=activations, epsilon=float(epsilon))
