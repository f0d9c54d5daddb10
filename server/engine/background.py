"""The background: sequences that take what others leave of a step, and give it back."""

from collections import deque

from server.engine.sequence import Sequence


class Background:
    """Sequences of low priority, those that run and those that wait, oldest first."""

    def __init__(self) -> None:
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []

    def __bool__(self) -> bool:
        return bool(self.waiting or self.running)
