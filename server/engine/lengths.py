"""Lengths: how many tokens the answers of a task have."""

from collections import OrderedDict, deque

_KEPT = 32
_MAX_TASKS = 1024
_GUESS = 64
_ANY = ""
"""No task's name: the lengths of all of them."""
_ALL = -1
"""The length of an answer that only its bound ended: the next will be as long as it may, too."""


class Lengths:
    """The last answers' lengths by task; a new answer is expected to be as long as one of them.

    Each is drawn in turn, so that rows at work together end as those before them did: all at once
    or one after another.
    """

    def __init__(self) -> None:
        self._last: OrderedDict[str, deque[int]] = OrderedDict()
        self._draws = 0

    def add(self, task: str, tokens: int, most: int) -> None:
        """Learn how long an answer was that might have been so long at most."""
        for name in (task, _ANY):
            last = self._last.setdefault(name, deque(maxlen=_KEPT))
            last.append(_ALL if tokens >= most else tokens)
            self._last.move_to_end(name)
        if len(self._last) > _MAX_TASKS:
            self._last.popitem(last=False)

    def draw(self, task: str, most: int) -> int:
        """Expect a length of at most `most`; a task not met yet is taken to be like the others."""
        last = self._last.get(task) or self._last.get(_ANY)
        self._draws += 1
        expected = last[self._draws % len(last)] if last else _GUESS
        return most if expected == _ALL else min(most, expected)
