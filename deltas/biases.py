"""Biases of attention that architectures compute from their configuration, by name."""

from collections.abc import Callable

import torch
from torch import Tensor
from transformers import PreTrainedConfig

from deltas.kernels.backend import Bias

_MARGIN = 16
"""Places past the last that kernels read."""


def alibi(config: PreTrainedConfig, context: int) -> Bias | None:
    """A slope a head times the key's place (Press et al., 2021, arXiv:2108.12409).

    None where the configuration does without.
    """
    if not getattr(config, "alibi", True):
        return None
    return Bias(slopes(config.num_attention_heads)[:, None] * _places(context))


def rounded_alibi(config: PreTrainedConfig, context: int) -> Bias | None:
    """The same as Falcon has it: rounded to bfloat16, then scaled as scores are."""
    if not getattr(config, "alibi", True):
        return None
    width = config.hidden_size // config.num_attention_heads
    table = slopes(config.num_attention_heads)[:, None].bfloat16() * _places(context).bfloat16()
    return Bias(table.float() * width**-0.5)


BIASES: dict[str, Callable[[PreTrainedConfig, int], Bias | None]] = {
    "alibi": alibi,
    "rounded_alibi": rounded_alibi,
}


def slopes(heads: int) -> Tensor:
    """The slopes [heads]: powers of two where their number is one, else with some in between."""
    whole = 1 << (heads.bit_length() - 1)
    powers = torch.arange(1, whole + 1) * (-8 / whole)
    between = (2 * torch.arange(heads - whole) + 1) * (-4 / whole)
    return 2.0 ** torch.cat([powers, between])


def _places(context: int) -> Tensor:
    """The places of keys: a delta's own may come before a whole context."""
    return torch.arange(2 * context + _MARGIN, dtype=torch.float32)
