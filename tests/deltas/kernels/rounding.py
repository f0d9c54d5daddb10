"""How far a kernel may be from float64 arithmetic: rounding, and nothing else."""

import torch
from torch import Tensor
from torch.nn import functional

SUMMING = 1e-6
"""What a sum in float32 loses, as a share of its terms' absolute values: these never cancel."""


def close(found: Tensor, expected: Tensor, slack: Tensor) -> None:
    """Each number is within one rounding to its type, and its own `slack` for what came before."""
    near(found, expected, rounding(found.dtype) * expected.abs() + slack)


def near(found: Tensor, expected: Tensor, bound: Tensor) -> None:
    """Each number is within its own bound."""
    worst = ((found.double() - expected).abs() - bound).max()
    assert worst <= 0, f"off by {worst:.2g} more than rounding explains"


def rounding(dtype: torch.dtype) -> float:
    """What rounding to a type loses at most, as a share of a number."""
    return torch.finfo(dtype).eps / 2


def terms(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The absolute values of all that a linear module adds up for rows x, in float64."""
    sizes = (None if each is None else each.double().abs() for each in (x, weight, bias))
    return functional.linear(*sizes)
