"""`polydelta bench`: what a server does under load, what mixed deltas cost, how others do."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from server.bench.cold import Plan
from server.bench.ending import ending_in_order
from server.bench.measures import measure_of
from server.bench.mix import Form, Mix
from server.bench.peers import PEERS, install, installed
from server.bench.subject import Subject
from server.bench.turns import Course
from server.cli import (
    bench_alone,
    bench_cold,
    bench_compare,
    bench_fidelity,
    bench_layouts,
    bench_overload,
    bench_profile,
    bench_schema,
)
from server.cli.bench_flags import (
    BASE,
    KINDS,
    Base,
    Beside,
    Cache,
    Cold,
    Concurrency,
    CpuQuota,
    Dtype,
    InputTokens,
    Kinds,
    Measures,
    OutputTokens,
    Overload,
    Peers,
    Plot,
    Profiling,
    Quantize,
    Rank,
    Registered,
    Repeat,
    Requests,
    SchemaFlag,
    Slots,
    Targets,
    Tasks,
    Text,
    TorchIndex,
    TurnSeconds,
    Url,
)
from server.cli.flags import Format
from server.cli.printing import err
from server.settings import Settings
from server.user_directories import user_cache

app = typer.Typer(invoke_without_command=True, rich_markup_mode=None)


@app.callback()
def bench(
    context: typer.Context,
    *,
    url: Url = None,
    base: Base = BASE,
    measure: Measures = None,
    concurrency: Concurrency = None,
    tasks: Tasks = None,
    registered: Registered = None,
    slots: Slots = None,
    kinds: Kinds = None,
    input_tokens: InputTokens = None,
    output_tokens: OutputTokens = None,
    requests: Requests = None,
    repeat: Repeat = 3,
    beside: Beside = 0,
    cpu_quota: CpuQuota = None,
    turn_seconds: TurnSeconds = 600,
    dtype: Dtype = None,
    peer: Peers = None,
    targets: Targets = "attention",
    rank: Rank = 16,
    plot: Plot = None,
    profile: Profiling = False,
    cold: Cold = False,
    overload: Overload = False,
    schema: SchemaFlag = False,
    cache: Cache = None,
    output: Format = "text",
) -> None:
    """Measure a server: throughput and latency, bare and with mixed deltas, in turns."""
    if context.invoked_subcommand:
        return None
    measures = [
        measure_of(
            name,
            concurrency=concurrency,
            requests=requests,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            tasks=tasks,
            seconds=turn_seconds,
        )
        for name in measure or ["decode"]
    ]
    # Only an overload is about whom a server refuses.
    wait = None if overload else "3600"
    given = {"dtype": dtype, "cache": cache and str(cache), "max_wait": wait}
    settings = {name: value for name, value in given.items() if value}
    subject = Subject(url, base, settings, cpu_quota)
    form = Form(targets == "all", rank)
    mix = Mix.of(kinds or KINDS, form)
    few = measures[0].tasks
    other = profile, cold, overload, schema, bool(peer)
    _refuse(
        {
            "choose one of --profile, --cold, --overload, --schema and --peer": sum(other) > 1,
            "--profile runs an engine of its own; leave out --url": profile and url,
            "--peer compares what peers serve, too; leave out the kinds": peer and kinds,
            "several --measure and --plot need a --peer": not peer and (measures[1:] or plot),
            "--registered needs a run without --profile, --cold, --overload, --schema and --peer": (
                registered and any(other)
            ),
            f"--registered must be more than the {few} tasks to mix": registered
            and registered <= few,
            "--beside needs a run without --profile, --cold, --overload and --schema": beside
            and any(other[:-1]),
            "--cpu-quota is for servers started here, without --profile": cpu_quota
            and (url or profile),
            "--slots is for a server started here without --profile, --overload, --schema and "
            "--peer": slots and (url or profile or overload or schema or peer),
        }
    )
    course = Course(repeat, beside)
    if profile:
        return bench_profile.print_profile(subject, measures[0], mix, output)
    with ending_in_order():
        if cold:
            # Its requests are one run.
            plan = Plan(replace(measures[0].load, seconds=None), concurrency or 0)
            bench_cold.print_cold(subject, plan, mix, repeat * few, slots, output)
        elif overload:
            bench_overload.print_overload(subject, measures[0].load, mix, few, output)
        elif schema:
            bench_schema.print_schemas(subject, measures[0].load, mix, few, repeat, output)
        elif peer:
            peers = installed(peer, cache or user_cache())
            bench_compare.compare(subject, peers, measures, form, course, plot, output)
        else:
            many = registered or 0
            bench_alone.measure_alone(subject, measures[0], mix, many, slots, course, output)
    return None


def _refuse(faults: Mapping[str, object]) -> None:
    for message, at_fault in faults.items():
        if at_fault:
            raise typer.BadParameter(message)


@app.command("install")
def install_peer(
    name: Annotated[str, typer.Argument(help=f"One of {', '.join(PEERS)}.")],
    torch_index: TorchIndex = None,
    cache: Cache = None,
) -> None:
    """Install a peer into an environment of its own, for --peer."""
    with ending_in_order():
        environment = install(name, cache or user_cache(), torch_index)
    err.print(f"{name} is installed in {environment.directory}.", markup=False)


@app.command("fidelity")
def fidelity(
    base: Base = BASE,
    *,
    dtype: Dtype = None,
    quantize: Quantize = None,
    text: Text = None,
    cache: Cache = None,
    output: Format = "text",
) -> None:
    """Compare the base as it is served with float32 on a text."""
    flags = {"dtype": dtype, "quantize": quantize, "cache": cache}
    given = {name: value for name, value in flags.items() if value is not None}
    bench_fidelity.print_fidelity(Settings.gather(base=base, **given), text, output)


@app.command("layouts")
def layouts(
    names: Annotated[
        list[str] | None, typer.Argument(help="Shapes of bases with random weights, else all.")
    ] = None,
    *,
    dtype: Dtype = None,
    output: Format = "text",
) -> None:
    """Compare steps by kernels with steps by modules, and bare ones with mixed ones."""
    bench_layouts.print_layouts(names or (), dtype, output)


@app.command("shape")
def shape(
    name: Annotated[str, typer.Argument(help="A shape that `bench layouts` knows.")],
    directory: Annotated[Path, typer.Argument(help="Where the base is written to.")],
) -> None:
    """Write a base with random weights, to measure a server and its peers with."""
    from server.bench.shapes import write_base

    write_base(name, directory)
