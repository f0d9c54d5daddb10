"""The tally: what the registry did since the server started, for whoever watches it."""

from collections.abc import Generator
from contextlib import contextmanager
from enum import Enum, auto
from threading import Lock
from typing import TypeAlias

from deltas.errors import PolydeltaError

Labels: TypeAlias = tuple[str, ...]

DONE = "done"
"""The outcome of what went well; that of what did not is its error's code."""


class Counted(Enum):
    """What is counted, and by what."""

    CHANGES = auto()
    """By kind and outcome."""
    RETIRED = auto()
    """Versions that the rules for what is kept let go."""
    FETCHES = auto()
    """By scheme and outcome."""
    FETCHED_BYTES = auto()
    """By scheme."""
    FETCHING_SECONDS = auto()
    """By scheme."""
    WATCH_FAILURES = auto()
    """Watched folders that could not be served, each once for each change in it."""
    UNSERVED = auto()
    """Watched folders that are not served as they are now: it goes up and down."""
    LOOKUPS = auto()
    """By what came of looking for a task that nobody has put."""


class Tally:
    """Counts; thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: dict[Counted, dict[Labels, float]] = {what: {} for what in Counted}

    def add(self, what: Counted, *labels: str, amount: float = 1) -> None:
        """Count something."""
        with self._lock:
            counts = self._counts[what]
            counts[labels] = counts.get(labels, 0) + amount

    @contextmanager
    def outcome(self, what: Counted, *labels: str) -> Generator[None]:
        """Count something that is done meanwhile, with what came of it as its last label."""
        outcome = PolydeltaError.code
        try:
            yield
            outcome = DONE
        except PolydeltaError as error:
            outcome = error.code
            raise
        finally:
            self.add(what, *labels, outcome)

    def counts(self, what: Counted) -> dict[Labels, float]:
        """How often it was, by labels."""
        with self._lock:
            return dict(self._counts[what])
