"""Requests: what callers ask of the engine."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from server.model.sampling import Sampling

__all__ = ["Input", "Message", "Request", "Sampling", "ScoreFunction"]

Message: TypeAlias = Mapping[str, str]
"""One chat message: `role` and `content`."""

Input: TypeAlias = str | tuple[int, ...] | tuple[Message, ...]
"""A text, token ids or chat messages."""

ScoreFunction: TypeAlias = Literal["softmax", "sigmoid", "none"]
"""What makes scores of a classifier's logits; `none` leaves them as they are."""


@dataclass(frozen=True, slots=True)
class Request:
    """One input for one task.

    `raw` generates from the text as it is, whatever prompt style the task's delta has. Nothing
    computed for one `cache_salt` is reused for another. A classifier applies `score_function`, its
    own unless given.
    """

    id: str
    task: str
    input: Input
    sampling: Sampling = field(default_factory=Sampling)
    raw: bool = False
    cache_salt: str = ""
    score_function: ScoreFunction | None = None
    generate: bool | None = None
    """True or False where the caller needs a task that generates, or one that does not."""
