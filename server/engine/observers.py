"""Several observers of one engine."""

from deltas.delta import DeltaRef
from server.engine.observer import Observer
from server.engine.timeline import Timeline


class Observers:
    """Tells each of them everything, in order."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def admitted(self, prompt_tokens: int) -> None:
        """A request was accepted."""
        for each in self._observers:
            each.admitted(prompt_tokens)

    def refused(self) -> None:
        """A request was refused."""
        for each in self._observers:
            each.refused()

    def started(self, queued: float) -> None:
        """A sequence got its first rows into a step."""
        for each in self._observers:
            each.started(queued)

    def first_token(self, elapsed: float) -> None:
        """A sequence's first token came."""
        for each in self._observers:
            each.first_token(elapsed)

    def next_token(self, elapsed: float) -> None:
        """A later token came."""
        for each in self._observers:
            each.next_token(elapsed)

    def loaded(self, ref: DeltaRef, began: float, ended: float) -> None:
        """A delta was read into host memory."""
        for each in self._observers:
            each.loaded(ref, began, ended)

    def finished(self, task: str, reason: str, elapsed: float, tokens: int) -> None:
        """A sequence ended."""
        for each in self._observers:
            each.finished(task, reason, elapsed, tokens)

    def ended(self, timeline: Timeline) -> None:
        """A request ended."""
        for each in self._observers:
            each.ended(timeline)
