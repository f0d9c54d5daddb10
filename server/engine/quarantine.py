"""Quarantine: deltas that are left alone for a while, so that a broken one costs nobody else."""

import time
from collections import Counter
from dataclasses import dataclass

from deltas.delta import DeltaRef
from deltas.errors import PolydeltaError
from server.errors import DeltaUnavailable

_SECONDS = 5.0
_MOST_CRASHES = 3
"""Crashed rows after which a delta gets no more for a while: each one costs all others a step."""


@dataclass(frozen=True, slots=True)
class _Failure:
    error: PolydeltaError
    until: float


class Quarantine:
    """Keeps the errors of deltas that could not be loaded, or whose rows keep crashing."""

    def __init__(self) -> None:
        self._failed: dict[DeltaRef, _Failure] = {}
        self._crashes: Counter[DeltaRef] = Counter()

    def __contains__(self, ref: DeltaRef) -> bool:
        return ref in self._failed

    def check(self, ref: DeltaRef) -> None:
        """Raise a delta's error, unless it was let go or its time has passed."""
        failure = self._failed.get(ref)
        if failure is None:
            return
        if time.monotonic() < failure.until:
            raise failure.error
        del self._failed[ref]

    def add(self, ref: DeltaRef, error: PolydeltaError) -> None:
        """Leave a delta alone because of an error."""
        self._crashes.pop(ref, None)
        self._failed[ref] = _Failure(error, time.monotonic() + _SECONDS)

    def blame(self, ref: DeltaRef) -> None:
        """Note that a row of a delta crashed its step; one that keeps doing so is added."""
        self._crashes[ref] += 1
        if self._crashes[ref] >= _MOST_CRASHES:
            message = f"The delta of task '{ref.task}' keeps failing; it is left alone for a while."
            self.add(ref, DeltaUnavailable(message))

    def forget(self, ref: DeltaRef) -> None:
        """Let go of what is known of a delta."""
        self._failed.pop(ref, None)
        self._crashes.pop(ref, None)
