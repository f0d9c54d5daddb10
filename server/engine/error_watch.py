"""The watch on errors: which versions fail too often to keep their share of a task's traffic."""

from collections import deque
from dataclasses import dataclass

from deltas.delta import DeltaRef
from server.registry.traffic import Bound

_PARTS = 20
"""Into which a window is cut: what is older leaves it a part at a time."""


@dataclass
class _Part:
    began: float
    requests: int = 0
    errors: int = 0


class ErrorWatch:
    """Counts versions' errors of late; times are in seconds of the monotonic clock."""

    def __init__(self) -> None:
        self._parts: dict[DeltaRef, deque[_Part]] = {}

    def note(self, ref: DeltaRef, bound: Bound, now: float, *, failed: bool) -> str:
        """Count a request; return how the version is beyond its bound, nothing if it is not."""
        parts = self._parts.setdefault(ref, deque())
        while parts and parts[0].began < now - bound.window:
            parts.popleft()
        if not parts or parts[-1].began < now - bound.window / _PARTS:
            parts.append(_Part(now))
        parts[-1].requests += 1
        parts[-1].errors += failed
        requests = sum(part.requests for part in parts)
        errors = sum(part.errors for part in parts)
        if requests < bound.requests or errors <= bound.errors * requests:
            return ""
        return (
            f"{errors} of {requests} requests failed within {bound.window:g} s, "
            f"more than {100 * bound.errors:g} %"
        )

    def forget(self, ref: DeltaRef) -> None:
        """Begin anew with a version."""
        self._parts.pop(ref, None)
