"""The measures of a comparison: loads with a name."""

from dataclasses import dataclass, replace

from server.bench.errors import BenchError
from server.bench.load import Load


@dataclass(frozen=True)
class Measure:
    """A load over `tasks` deltas."""

    name: str
    load: Load
    tasks: int

    @property
    def unit(self) -> str:
        """What its rate counts."""
        kind = "output" if self.load.output_tokens > 1 else "prompt"
        return f"{kind} tokens/s"


MEASURES = {
    "decode": Measure("decode", Load(16, 32, 64, 64), tasks=16),
    "prefill": Measure("prefill", Load(16, 32, 512, 1), tasks=16),
    "single": Measure("single", Load(1, 4, 64, 64), tasks=1),
    "encode": Measure("encode", Load(32, 256, 64, 1, together=4), tasks=8),
}


def measure_of(
    name: str,
    *,
    concurrency: int | None = None,
    requests: int | None = None,
    input_tokens: int | None = None,
    output_tokens: int | None = None,
    tasks: int | None = None,
    seconds: float | None = None,
) -> Measure:
    """The measure of a name, with what was asked for in place of its own numbers.

    Raises BenchError listing the names there are.
    """
    if name not in MEASURES:
        raise BenchError(f"There is no measure '{name}'; choose from {', '.join(MEASURES)}.")
    measure = MEASURES[name]
    asked = {
        "concurrency": concurrency,
        "requests": requests,
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "seconds": seconds,
    }
    given = {field: value for field, value in asked.items() if value is not None}
    load = replace(measure.load, **given)
    load = replace(load, together=min(load.together, load.concurrency))
    return Measure(name, load, tasks or measure.tasks)
