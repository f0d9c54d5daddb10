"""Recipes: all that decides a training run besides the base and the data."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from deltas.delta import Option, PromptStyle
from deltas.errors import PolydeltaError
from deltas.kinds import kind_named

LEAST_TOKENS = 8


class InvalidRecipe(PolydeltaError):
    """A recipe asks for what cannot be trained."""

    code = "invalid_recipe"


@dataclass(frozen=True, slots=True)
class Recipe:
    """A kind of delta and how it is trained.

    `options` are the kind's own (a rank, a length, …). `layers` restricts the delta to the last
    so many layers of the base. `rate` is the highest learning rate: it rises over the first
    `warmup` of the steps and falls to zero over the rest. Inputs are cut to `tokens` tokens.
    `prompt` is how a generation task reads a plain text. `width` is the size of the hidden layer
    that a prefix is trained through; 0 trains its keys and values themselves.
    Raises DeltaError for an unknown kind and for options that it does not have, InvalidRecipe for a
    number out of its bounds.
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
        bounds = {
            "epochs": (0 < self.epochs < math.inf, "a number above 0"),
            "layers": (self.layers is None or self.layers >= 1, "1 at least"),
            "batch": (self.batch >= 1, "1 at least"),
            "rate": (0 < self.rate < math.inf, "a number above 0"),
            "warmup": (0 <= self.warmup <= 1, "between 0 and 1"),
            "tokens": (self.tokens >= LEAST_TOKENS, f"{LEAST_TOKENS} at least"),
            "width": (self.width >= 0, "0 at least"),
        }
        for name, (kept, bound) in bounds.items():
            if not kept:
                raise InvalidRecipe(f"{name} must be {bound}; it is {getattr(self, name)}.")
