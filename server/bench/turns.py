"""A measurement: the bare base and mixed tasks, in turns, on one server."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from server.bench.endpoint import Endpoint
from server.bench.load import Load, Run, drive

BASE = "base"


def measure(
    url: str, names: Sequence[str], load: Load, repeat: int, done: Callable[[], object]
) -> list[tuple[Run, Run]]:
    """Run the load on the base and on the tasks in turn, `repeat` times; `done` follows a request.

    A short run of each comes first and does not count: it loads every delta.
    """
    return asyncio.run(_measure(url, names, load, repeat, done))


async def _measure(
    url: str, names: Sequence[str], load: Load, repeat: int, done: Callable[[], object]
) -> list[tuple[Run, Run]]:
    server = Endpoint(url)
    warm = replace(load, requests=len(names) + 1, output_tokens=min(2, load.output_tokens))
    await drive(server, [BASE, *names], warm, seed="warm", done=lambda: None)
    return [
        (
            await drive(server, [BASE], load, f"base {turn}", done),
            await drive(server, names, load, f"mixed {turn}", done),
        )
        for turn in range(repeat)
    ]
