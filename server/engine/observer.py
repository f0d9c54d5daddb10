"""Observers: who is told what the engine did, for metrics."""

from typing import Protocol

from deltas.delta import DeltaRef
from server.engine.timeline import Timeline


class Observer(Protocol):
    """Receives each event on the event loop's thread; times are in seconds."""

    def admitted(self, prompt_tokens: int) -> None:
        """A request was accepted."""

    def refused(self) -> None:
        """A request was refused, or gave its place in the queue to another."""

    def started(self, queued: float) -> None:
        """A sequence got its first rows into a step."""

    def first_token(self, elapsed: float) -> None:
        """A sequence's first token came, `elapsed` after its request."""

    def next_token(self, elapsed: float) -> None:
        """A later token came, `elapsed` after the one before."""

    def loaded(self, ref: DeltaRef, began: float, ended: float) -> None:
        """A delta was read into host memory in this stretch of the monotonic clock."""

    def finished(self, task: str, reason: str, elapsed: float, tokens: int) -> None:
        """A sequence ended with `tokens` generated; reason is stop, length, abort or error."""

    def ended(self, timeline: Timeline) -> None:
        """A request that was admitted ended, with all its sequences."""


class Silent:
    """An observer that nobody listens to."""

    def admitted(self, prompt_tokens: int) -> None:
        """Do nothing."""

    def refused(self) -> None:
        """Do nothing."""

    def started(self, queued: float) -> None:
        """Do nothing."""

    def first_token(self, elapsed: float) -> None:
        """Do nothing."""

    def next_token(self, elapsed: float) -> None:
        """Do nothing."""

    def loaded(self, ref: DeltaRef, began: float, ended: float) -> None:
        """Do nothing."""

    def finished(self, task: str, reason: str, elapsed: float, tokens: int) -> None:
        """Do nothing."""

    def ended(self, timeline: Timeline) -> None:
        """Do nothing."""


SILENT = Silent()
