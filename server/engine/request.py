"""Requests: what callers ask of the engine."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from server.model.sampling import Sampling

__all__ = ["Input", "Message", "Request", "Sampling"]

Message: TypeAlias = Mapping[str, str]
"""One chat message: `role` and `content`."""

Input: TypeAlias = str | tuple[int, ...] | tuple[Message, ...]
"""A text, token ids or chat messages."""


@dataclass(frozen=True, slots=True)
class Request:
    """One input for one task.

    `raw` generates from the text as it is, whatever prompt style the task's delta has. Nothing
    computed for one `cache_salt` is reused for another.
    """

    id: str
    task: str
    input: Input
    sampling: Sampling = field(default_factory=Sampling)
    raw: bool = False
    cache_salt: str = ""
    generate: bool | None = None
    """True or False where the caller needs a task that generates, or one that does not."""
