"""`polydelta bench --profile`: where an engine's steps spend their time."""

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from server.bench.measures import Measure
from server.bench.mix import Mix
from server.bench.side import BASE
from server.bench.subject import Subject
from server.bench.traffic import Traffic
from server.cli.flags import Format
from server.cli.printing import err, out, print_json, print_table

if TYPE_CHECKING:
    from server.bench.profile import Profile


def print_profile(subject: Subject, wanted: Measure, mix: Mix, output: Format) -> None:
    """Profile an engine in this process, bare and with mixed deltas, and print both."""
    err.print(f"Loading {subject.base} …")
    found = asyncio.run(_profiles(subject, wanted, mix))
    if output == "json":
        return print_json(found)
    out.print(f"{subject.base}: milliseconds a step, without HTTP\n", markup=False)
    print_table(("", "BASE", "MIXED"), _rows(list(found.values())))
    return None


def _rows(profiles: "Sequence[Profile]") -> list[tuple[str, ...]]:
    def row(name: str, value: "Callable[[Profile], float]") -> tuple[str, ...]:
        return (name, *(f"{value(each):.2f}" for each in profiles))

    def step(seconds: "Callable[[Profile], float]") -> "Callable[[Profile], float]":
        return lambda each: seconds(each) / each.steps * 1e3

    names = dict.fromkeys(name for each in profiles for name in each.parts)
    return [
        *(row(name, step(lambda each, n=name: each.parts.get(n, 0.0))) for name in names),
        row("a step in all", step(lambda each: each.total)),
        row("bound of its products", step(lambda each: each.bound)),
        row("step / bound", lambda each: each.total / each.bound),
        row("event loop beside it", step(lambda each: each.loop)),
        row("rows a step", lambda each: each.rows / each.steps),
    ]


async def _profiles(subject: Subject, wanted: Measure, mix: Mix) -> "dict[str, Profile]":
    # Only a profile needs Torch in this process.
    from server.bench.profile import profile
    from server.bench.synthetic import write_deltas
    from server.build import build_engine, count_threads
    from server.registry.names import shared
    from server.settings import Settings

    found: dict[str, Profile] = {}
    with tempfile.TemporaryDirectory() as folder:
        given = {"max_deltas": wanted.tasks, "store": f"{folder}/store", **subject.settings}
        settings = Settings.gather(base=subject.base, tasks={}, **given)
        threads = count_threads(settings)
        engine = build_engine(settings)
        names: list[str] = []
        for name, directory in write_deltas(engine.base.spec, mix, wanted.tasks):
            engine.registry.put(shared(name), directory)
            names.append(name)
        await engine.start()
        mixed = Traffic(names, bare=mix.bare).mixed(wanted.load.requests)
        for title, models in {"base": [BASE], "mixed": mixed}.items():
            found[title] = await profile(engine, models, wanted.load, threads)
        await engine.stop(0)
    return found
