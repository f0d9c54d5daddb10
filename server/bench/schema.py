"""What JSON schemas cost: streams half of which have one, and the first token under a new one."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from statistics import median
from typing import Any, Self

from server.bench.completion import Timing
from server.bench.endpoint import Endpoint
from server.bench.figures import Figures, Percentiles
from server.bench.load import Load, Run, drive
from server.bench.side import BASE
from server.bench.turns import median_ratio

_PAIRS = 8
"""First tokens of each turn, under a new schema and without."""


@dataclass(frozen=True)
class Turn:
    """The runs of one turn: without schemas, with; first tokens without, and with a new schema."""

    without: Run
    schema: Run
    bare: Sequence[Timing]
    new: Sequence[Timing]


@dataclass(frozen=True)
class Schemas:
    """`ratio` is the median over turns of the rate with schemas to that without.

    `bare` and `new` are times to the first token, without a schema and with one that the server has
    never seen, in milliseconds; `added` is the median of their difference, pair by pair. `kinds`
    counts the tasks by kind.
    """

    base: str
    load: Load
    repeat: int
    kinds: dict[str, int]
    without: Figures | None
    schema: Figures | None
    ratio: float | None
    bare: Percentiles
    new: Percentiles
    added: float

    @classmethod
    def of(cls, base: str, load: Load, kinds: dict[str, int], turns: Sequence[Turn]) -> Self:
        """Sum up turns."""
        bare = [timing.first for turn in turns for timing in turn.bare]
        new = [timing.first for turn in turns for timing in turn.new]
        return cls(
            base=base,
            load=load,
            repeat=len(turns),
            kinds=kinds,
            without=Figures.of([turn.without for turn in turns]),
            schema=Figures.of([turn.schema for turn in turns]),
            ratio=median_ratio([(turn.schema, turn.without) for turn in turns]),
            bare=Percentiles.of(bare),
            new=Percentiles.of(new),
            added=median(one - other for one, other in zip(new, bare, strict=True)) * 1e3,
        )


def requests_of(load: Load, repeat: int) -> int:
    """How many requests so many turns make after the warm-up."""
    return repeat * 2 * (load.requests + _PAIRS)


def measure_schemas(
    url: str, models: Sequence[str], load: Load, repeat: int, done: Callable[[], object]
) -> list[Turn]:
    """Run the load over the models without schemas and with, in turns; `done` follows each request.

    Every model is asked as often with a schema as without. What comes first, to fill the streams,
    does not count. Raises BenchError where a request fails.
    """
    return asyncio.run(_measure(url, models, load, repeat, done))


async def _measure(
    url: str, models: Sequence[str], load: Load, repeat: int, done: Callable[[], object]
) -> list[Turn]:
    guided = {f"{model} in shape": {"model": model, **_format("note")} for model in models}
    names = (f"note {number}" for number in count())
    server = Endpoint(url, extra=guided)
    mixes = {"without": [*models, *models], "schema": [*models, *guided]}
    warm = replace(load, requests=max(load.concurrency, 2 * len(models)))
    for name, mix in mixes.items():
        await drive(server, mix, warm, f"warm-up, {name}", lambda: None)
    turns: list[Turn] = []
    for turn in range(repeat):
        runs: dict[str, Run] = {}
        # What drifts meanwhile favours each of them in turn.
        for name in sorted(mixes, reverse=bool(turn % 2)):
            runs[name] = await drive(server, mixes[name], load, f"turn {turn}, {name}", done)
        pairs = {f"{BASE} {name}": {"model": BASE, **_format(name)} for name in _some(names)}
        firsts = await _firsts(Endpoint(url, extra=pairs), [*pairs], load, f"turn {turn}", done)
        turns.append(Turn(**runs, bare=firsts[0::2], new=firsts[1::2]))
    return turns


def _some(names: Any) -> list[str]:
    return [next(names) for _ in range(_PAIRS)]


async def _firsts(
    server: Endpoint, new: Sequence[str], load: Load, seed: str, done: Callable[[], object]
) -> list[Timing]:
    """Ask for a first token without a schema and with each of the new ones, one at a time."""
    models = [model for name in new for model in (BASE, name)]
    single = replace(load, concurrency=1, requests=len(models), output_tokens=1)
    return (await drive(server, models, single, f"{seed}, first tokens", done)).timings


def _format(name: str) -> dict[str, Any]:
    """What a request asks for that is to answer with a list of notes, called so."""
    note = {
        "type": "object",
        "properties": {
            "title": {"type": "string", "maxLength": 24},
            "count": {"type": "integer", "minimum": 0, "maximum": 1000},
            "state": {"enum": ["open", "closed", "unknown"]},
        },
        "required": ["title", "count", "state"],
        "additionalProperties": False,
    }
    schema = {
        "type": "object",
        "properties": {name: {"type": "array", "items": note, "minItems": 2}},
        "required": [name],
        "additionalProperties": False,
    }
    return {"min_tokens": 1, "structured_outputs": {"json": json.dumps(schema)}}
