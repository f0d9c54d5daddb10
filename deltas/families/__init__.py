"""Families: how each supported architecture lays out its modules, as data.

Adding a family is adding a record.
"""

from transformers import PreTrainedConfig

from deltas.errors import UnsupportedBase
from deltas.families.decoders import DECODERS
from deltas.families.encoder_decoders import ENCODER_DECODERS
from deltas.families.encoders import ENCODERS
from deltas.families.family import (
    Asking,
    Block,
    Encoder,
    Family,
    HeadLayout,
    PostNorm,
    PreNorm,
    Stack,
    Sublayers,
)

__all__ = [
    "FAMILIES",
    "Asking",
    "Block",
    "Encoder",
    "Family",
    "HeadLayout",
    "PostNorm",
    "PreNorm",
    "Stack",
    "Sublayers",
    "family_of",
]

FAMILIES: dict[str, Family] = {
    family.name: family for family in (*DECODERS, *ENCODERS, *ENCODER_DECODERS)
}


def family_of(config: PreTrainedConfig) -> Family:
    """Return the record of a configuration's architecture.

    Raises UnsupportedBase naming the families there are.
    """
    family = FAMILIES.get(config.model_type)
    if family is None:
        known = ", ".join(sorted(FAMILIES))
        raise UnsupportedBase(
            f"A base of model type '{config.model_type}' cannot be served; choose one of: {known}. "
            "If its modules lie as one of theirs do, say so in a JSON record: --family-record."
        )
    return family
