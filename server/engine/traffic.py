"""Traffic: what becomes of requests that versions of a task share."""

import asyncio
import logging
import time

from deltas.delta import DeltaRef
from deltas.errors import PolydeltaError
from server.engine.answer import Answer
from server.engine.error_watch import ErrorWatch
from server.engine.shadows import Shadows
from server.engine.tally import Counts, Tally
from server.errors import DeltaUnavailable, RowFailed, TaskNotFound
from server.registry.lease import Lease
from server.registry.registry import Registry

_log = logging.getLogger(__name__)


class TrafficControl:
    """Counts what versions make of their shares, takes a share back, and has shadows answer.

    For one event loop, which asks it of nothing but requests whose version was drawn.
    """

    def __init__(self, registry: Registry, shadows: Shadows) -> None:
        self.tally = Tally()
        self._registry = registry
        self._shadows = shadows
        self._errors = ErrorWatch()
        self._stepping: set[asyncio.Task[None]] = set()

    def ended(self, answer: Answer) -> None:
        """Take note of an answer that has ended, well or not; those given up tell nothing."""
        lease, timeline = answer.lease, answer.timeline
        if timeline is None:
            return
        if answer.error is not None:
            self.failed(lease, answer.error)
        elif timeline.reason not in ("abort", "error"):
            counts = self._counts(lease)
            counts.answered += 1
            counts.whole.add(timeline.ended - timeline.submitted)
            if timeline.first is not None:
                counts.first.add(timeline.first - timeline.submitted)
            self._judge(lease, failed=False)
            if lease.shadowed:
                self._shadow(answer)

    def failed(self, lease: Lease, error: BaseException) -> None:
        """Take note of an error that a request met, if it is its version's fault."""
        if isinstance(error, RowFailed | DeltaUnavailable):
            self._counts(lease).failed += 1
            self._judge(lease, failed=True)

    def forget(self, ref: DeltaRef) -> None:
        """Let go of what is known of a version that there is no more."""
        self.tally.forget(ref)
        self._errors.forget(ref)

    def _counts(self, lease: Lease) -> Counts:
        return self.tally.of(lease.version.ref, lease.version.number)

    def _shadow(self, answer: Answer) -> None:
        lease = self._registry.lease_shadow(answer.lease.task)
        if lease is not None:
            self._shadows.follow(answer.request, answer.said, lease, self._counts(lease))

    def _judge(self, lease: Lease, *, failed: bool) -> None:
        traffic, ref, number = lease.traffic, lease.version.ref, lease.version.number
        if traffic is None or traffic.bound is None or not traffic.shares.get(number):
            return
        reason = self._errors.note(ref, traffic.bound, time.monotonic(), failed=failed)
        if not reason or self._is_active(lease):
            return
        self._errors.forget(ref)
        task = asyncio.create_task(self._step_back(lease, reason))
        self._stepping.add(task)
        task.add_done_callback(self._stepping.discard)

    def _is_active(self, lease: Lease) -> bool:
        try:
            return self._registry.version(lease.task) == lease.version
        except TaskNotFound:
            return True

    async def _step_back(self, lease: Lease, reason: str) -> None:
        number = lease.version.number
        try:
            done = await asyncio.to_thread(
                self._registry.sharing.step_back, lease.task, number, reason
            )
        except PolydeltaError as error:
            _log.error("Task %s: version %d keeps its share: %s", lease.task, number, error)
            return
        if done:
            self._counts(lease).stepped_back += 1
            _log.warning("Task %s: version %d steps back: %s.", lease.task, number, reason)
