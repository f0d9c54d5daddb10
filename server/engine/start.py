"""Starts: rows of several requests that begin together."""

from collections.abc import Callable, Iterable

from server.engine.sequence import Sequence


class Start:
    """Gives `launch` the sequences of so many requests at once, when all of these are ready.

    So an encoder, which computes a sequence in one step, computes all of them in one.
    """

    def __init__(self, requests: int, launch: Callable[[Iterable[Sequence]], None]) -> None:
        self._left = requests
        self._launch = launch
        self._sequences: list[Sequence] = []

    def add(self, sequences: Iterable[Sequence]) -> None:
        """Take sequences that may begin."""
        self._sequences.extend(sequences)

    def ready(self) -> None:
        """One of the requests has added all that it will."""
        self._left -= 1
        if not self._left:
            self._launch(self._sequences)
