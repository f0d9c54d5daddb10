"""Recipes: all that decides a training run besides the base and the data."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from deltas.delta import Option, PromptStyle
from deltas.kinds import kind_named


@dataclass(frozen=True, slots=True)
class Recipe:
    """A kind of delta and how it is trained.

    `options` are the kind's own (a rank, a length, …). `layers` restricts the delta to the last
    so many layers of the base. `rate` is the highest learning rate: it rises over the first
    `warmup` of the steps and falls to zero over the rest. Inputs are cut to `tokens` tokens.
    `prompt` is how a generation task reads a plain text. `width` is the size of the hidden layer
    that a prefix is trained through; 0 trains its keys and values themselves.
    Raises DeltaError for an unknown kind and for options that it does not have.
    """

    kind: str
    options: Mapping[str, Option] = field(default_factory=dict[str, Option])
    layers: int | None = None
    epochs: float = 3.0
    batch: int = 16
    rate: float = 1e-3
    warmup: float = 0.1
    tokens: int = 128
    prompt: PromptStyle = PromptStyle.CHAT
    width: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        kind_named(self.kind).check_options(self.options)
