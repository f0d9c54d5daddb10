"""Timelines: when what happened to a request, for traces."""

from collections.abc import Mapping
from dataclasses import dataclass

from deltas.delta import DeltaRef
from server.registry.names import SHARED


@dataclass(frozen=True, slots=True)
class Timeline:
    """A request's life, in seconds of the monotonic clock; None is what it did not come to.

    It was `submitted`, its first rows were in a step when it `started`, its first token came at
    `first`, and it `ended` for a `reason`: stop, length, abort or error. `trace` is the call's.
    """

    request: str
    ref: DeltaRef
    trace: Mapping[str, str]
    submitted: float
    started: float | None
    first: float | None
    ended: float
    reason: str
    prompt_tokens: int
    cached_tokens: int
    tokens: int
    tenant: str = SHARED
