"""Made-up turns, so that medians and ratios can be told by hand."""

from server.bench.completion import Timing
from server.bench.load import Load, Run
from server.bench.turns import Turn

LOAD = Load(concurrency=2, requests=2, input_tokens=50, output_tokens=10)


def run(elapsed: float, tokens: int = 10) -> Run:
    """Two requests of `tokens` tokens each."""
    return Run([Timing([0.1, 0.2], tokens)] * 2, elapsed, [])


def turn(base: float, mixed: float | None = None) -> Turn:
    """A turn whose runs took so many seconds."""
    return Turn(run(base), run(mixed) if mixed else None)
