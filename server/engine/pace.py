"""Pace: how fast the engine computes, by what its last steps took."""

_MEMORY = 0.9
"""What a step's weight shrinks to with each later one."""

_STEP_GUESS = 0.05
_ROW_GUESS = 0.0005


class Mean:
    """A weighted mean of values, the latest counting most; `guess` until there is one.

    The weights add up to one from the first value on, so that it is right at once.
    """

    def __init__(self, guess: float) -> None:
        self.value = guess
        self._sum = 0.0
        self._weight = 0.0

    def add(self, value: float, weight: float = 1.0) -> None:
        """Take a value in."""
        self._sum = self._sum * _MEMORY + value * weight
        self._weight = self._weight * _MEMORY + weight
        self.value = self._sum / self._weight


class Pace:
    """The core's speed: written by its thread after each step, read by any other."""

    def __init__(self) -> None:
        self._step = Mean(_STEP_GUESS)
        self._row = Mean(_ROW_GUESS)

    def took(self, seconds: float, rows: int, sequences: int) -> None:
        """Learn from a step of so many rows of so many sequences."""
        self._step.add(seconds)
        if rows > sequences:
            self._row.add(seconds / rows, rows)

    @property
    def step(self) -> float:
        """Seconds of a step: what a running sequence's next token takes."""
        return self._step.value

    @property
    def row(self) -> float:
        """Seconds for a row of a prompt, the rows beside it counted alike."""
        return self._row.value
