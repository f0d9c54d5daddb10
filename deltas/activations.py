"""Non-linearities by the names that checkpoints use."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "gelu": functional.gelu,
    "gelu_new": nn.GELU(approximate="tanh"),
    "silu": functional.silu,
    "swish": functional.silu,
    "tanh": torch.tanh,
    "leakyrelu": functional.leaky_relu,
}
