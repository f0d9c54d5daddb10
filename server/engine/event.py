"""Events: what the core reports of a step, to be handed to the event loop at once."""

from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor

from deltas.errors import PolydeltaError
from server.engine.output import FinishReason
from server.engine.sequence import Key
from server.model.judge import Judged
from server.model.sampler import Chosen


@dataclass(frozen=True, slots=True)
class Token:
    """A sequence's next token; the last one has a finish reason.

    A token that only ends the text has `silent` set. The `score` is that of a text that beams have
    found.
    """

    key: Key
    chosen: Chosen
    finish: FinishReason | None = None
    silent: bool = False
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Scores:
    """A head's answer: [labels], [rows, labels] or [features], on the CPU."""

    key: Key
    values: Tensor


@dataclass(frozen=True, slots=True)
class Started:
    """A sequence's first rows are in a step, after `cached` tokens that were computed before."""

    key: Key
    cached: int = 0


@dataclass(frozen=True, slots=True)
class Failed:
    """A sequence ended with an error."""

    key: Key
    error: PolydeltaError


@dataclass(frozen=True, slots=True)
class PromptJudged:
    """How likely all but the first of a prompt's tokens are."""

    key: Key
    judged: tuple[Judged, ...]


Event: TypeAlias = Token | Scores | Started | PromptJudged | Failed
