"""Relative biases: tables of what scores gain by how far a key is from the row that looks at it.

T5's modules make them anew for every row and key of a batch (Raffel et al., 2020,
arXiv:1910.10683). Where ours attends, they hand on the table that it looks up instead.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any

from torch import Tensor, nn

from deltas.kernels.backend import Bias

_MARGIN = 16
"""Places past the last that kernels read."""


def share_tables(modules: Iterable[nn.Module], context: int, name: str) -> None:
    """Have attention modules that have biases hand on tables, while the function `name` attends."""
    for module in modules:
        if hasattr(module, "relative_attention_bias"):
            table = _table(module, context)
            setattr(module, "compute_bias", partial(_compute, module, table, name))  # noqa: B010


def read_table(said: Tensor | None) -> Bias | None:
    """What a module has handed on: a table [heads, places], or nothing but zeros.

    Raises ValueError for anything else.
    """
    if said is None or (said.dim() == 4 and not said.any()):
        return None
    if said.dim() != 2:
        raise ValueError("The biases are no table.")
    return Bias(said, (said.shape[1] - _MARGIN) // 2)


def _table(module: nn.Module, context: int) -> Tensor:
    # One row in the middle of twice a context: from there it sees all distances that there are.
    biases = _own(module, 1, 2 * context + _MARGIN, past_seen_tokens=context)
    return biases[0, :, 0].detach().float().contiguous()


def _compute(module: nn.Module, table: Tensor, name: str, *args: Any, **said: Any) -> Tensor:
    config: Any = module.config
    if config._attn_implementation == name:
        return table
    return _own(module, *args, **said)


def _own(module: nn.Module, *args: Any, **said: Any) -> Tensor:
    """What the module's class computes, whatever the module was told to hand on."""
    module_class: Any = type(module)
    return module_class.compute_bias(module, *args, **said)
