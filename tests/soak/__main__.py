"""`python -m tests.soak [MINUTES]`: whether a server's memory grows under changes and traffic.

Prints what its processes hold, minute by minute, then the slope over MINUTES, before which there
are a few in which caches fill and threads begin.
"""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import NamedTemporaryFile

import httpx2

from tests.soak.served import Held, Served, tiny_server
from tests.soak.slope import Slope
from tests.soak.traffic import Traffic

_PAUSE = 1.0
_WARM_UP = 3.0
"""Minutes until all is in use that use fills."""


async def _soak(served: Served, minutes: float) -> tuple[list[tuple[float, Held]], Traffic]:
    """Drive a server and sample what it holds, in minutes since the beginning."""
    held: list[tuple[float, Held]] = []
    now = asyncio.get_running_loop().time
    async with httpx2.AsyncClient(base_url=served.url, timeout=60) as http:
        traffic = Traffic(served, http, seed=0)
        begun = now()
        running = asyncio.create_task(traffic.run(begun + 60 * (_WARM_UP + minutes)))
        while not running.done():
            time = (now() - begun) / 60
            if not held or int(time) > int(held[-1][0]):
                _print_line(time, Held.now(), traffic)
            held.append((time, Held.now()))
            await asyncio.wait((running,), timeout=_PAUSE)
        await running
    return held, traffic


def _print_line(time: float, held: Held, traffic: Traffic) -> None:
    _print(
        f"{time:6.1f} min {held.memory:8.1f} MiB {held.files:5} files {held.threads:4} threads "
        f"{traffic.ends.total():8} requests"
    )


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _grown(held: list[tuple[float, Held]]) -> bool:
    """Print the slopes after the warm-up and tell whether one is above noise."""
    late = [(time, each) for time, each in held if time >= _WARM_UP]
    measures: dict[str, Callable[[Held], float]] = {
        "MiB": lambda each: each.memory,
        "files": lambda each: each.files,
        "threads": lambda each: each.threads,
    }
    grown = False
    for unit, of in measures.items():
        slope = Slope.of([time for time, _ in late], [of(each) for _, each in late])
        end = "grows" if slope.grows else "does not grow"
        _print(f"{slope.value:+.3f} ± {slope.error:.3f} {unit} a minute: {end}")
        grown |= slope.grows
    return grown


def main() -> int:
    """Soak a tiny server; 1 if something grew or a request made the server fail."""
    minutes = float(sys.argv[1]) if sys.argv[1:] else 10.0
    with NamedTemporaryFile(prefix="soak-", suffix=".log", delete=False) as file:
        log = Path(file.name)
    _print(f"The server's log: {log}")
    with tiny_server(log=log) as served:
        held, traffic = asyncio.run(_soak(served, minutes))
    for end, count in sorted(traffic.ends.items()):
        _print(f"{count:8} {end}")
    failed = [end for end in traffic.ends if end.endswith(" 500")]
    return int(_grown(held) or bool(failed))


sys.exit(main())
