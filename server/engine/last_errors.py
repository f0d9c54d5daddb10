"""The last errors: what requests of each task last failed with, for whoever looks after it."""

import time
from collections import OrderedDict
from dataclasses import dataclass

from deltas.delta import DeltaRef
from deltas.errors import PolydeltaError
from server.registry.lease import Lease
from server.registry.names import TaskName

_MOST = 1024
"""Tasks whose last error is kept: of more, those that failed last."""


@dataclass(frozen=True, slots=True)
class LastError:
    """When, in Unix seconds, and with which code a request failed, and the version asked.

    Its message is left out: it may quote a caller whom others who see the task must not.
    """

    time: float
    code: str
    version: str


class LastErrors:
    """The last error of each task; written by one thread, read by any."""

    def __init__(self) -> None:
        self._last: OrderedDict[TaskName, LastError] = OrderedDict()

    def note(self, lease: Lease, error: BaseException) -> None:
        """Remember an error; one that is none of ours is a caller that went away."""
        if not isinstance(error, PolydeltaError):
            return
        self._last[lease.task] = LastError(time.time(), error.code, lease.version.ref.version)
        self._last.move_to_end(lease.task)
        if len(self._last) > _MOST:
            self._last.popitem(last=False)

    def forget(self, ref: DeltaRef) -> None:
        """Drop a task's error if a version met it that there is no more."""
        task = TaskName.of(ref.task)
        last = self._last.get(task)
        if last is not None and last.version == ref.version:
            del self._last[task]

    def of(self, task: TaskName) -> LastError | None:
        """A task's last error since the server started, by a version that there still is."""
        return self._last.get(task)
