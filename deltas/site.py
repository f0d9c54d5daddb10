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
    """An attention module, to which keys and values can be added."""
    HEAD = "head"
    """The last hidden states, from which a task's scores are computed."""


class Rows(Enum):
    """Whose rows a site's are, in a base that has a decoder looking at what an encoder reads."""

    OWN = "own"
    """A sequence's own: all rows, in a base of one stack."""
    SOURCE = "source"
    """Those of the source that an encoder reads for it."""
    CROSS = "cross"
    """Its own, which look at those of its source."""


@dataclass(frozen=True, slots=True)
class Site:
    """A named place in a base.

    `name` is the module's path relative to the backbone. For LINEAR, BLOCK, EMBEDDING and HEAD
    `inputs` and `outputs` are feature widths; for ATTENTION they are the width of one layer's
    keys split as `heads` x `outputs` (the head dimension). `rows` says whose rows pass.
    """

    name: str
    role: Role
    inputs: int
    outputs: int
    heads: int = 0
    rows: Rows = Rows.OWN
