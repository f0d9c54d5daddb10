"""Sites: the named places in a base where deltas act."""

from dataclasses import dataclass
from enum import Enum


class Role(Enum):
    """What a site is, and so which kinds may act there."""

    LINEAR = "linear"
    """A projection; x is its input, y its output."""
    BLOCK = "block"
    """The output of a sub-block before its residual sum; x is the residual, y the output."""
    EMBEDDING = "embedding"
    """The token embedding; x are token ids, y their vectors."""
    ATTENTION = "attention"
    """A self-attention module, to which keys and values can be added."""
    HEAD = "head"
    """The last hidden states, from which a task's scores are computed."""


@dataclass(frozen=True, slots=True)
class Site:
    """A named place in a base.

    `name` is the module's path relative to the backbone. For LINEAR, BLOCK, EMBEDDING and HEAD
    `inputs` and `outputs` are feature widths; for ATTENTION they are the width of one layer's
    keys split as `heads` x `outputs` (the head dimension).
    """

    name: str
    role: Role
    inputs: int
    outputs: int
    heads: int = 0
