"""`polydelta bench` without peers: one server, bare and with mixed deltas."""

from collections.abc import Sequence
from contextlib import ExitStack

from rich.progress import Progress

from server.bench.measures import Measure
from server.bench.report import Figures, Report, Spread
from server.bench.subject import Subject
from server.bench.tasks import count_kinds, tasks_for
from server.bench.turns import measure
from server.cli.flags import Format
from server.cli.printing import err, out, print_json, print_table


def measure_alone(
    subject: Subject, wanted: Measure, kinds: Sequence[str], repeat: int, output: Format
) -> None:
    """Measure one server and print what it did."""
    load = wanted.load
    with ExitStack() as stack:
        if subject.url is None:
            err.print(f"Starting a server with {subject.base} …")
        url = stack.enter_context(subject.serve(wanted.tasks))
        err.print(f"Preparing {wanted.tasks} tasks on {url} …")
        mixed = stack.enter_context(tasks_for(url, subject.base, kinds, wanted.tasks))
        progress = stack.enter_context(Progress(console=err, transient=True))
        bar = progress.add_task("Measuring", total=2 * repeat * load.requests)
        names = [task.id for task in mixed]
        turns = measure(url, names, load, repeat, lambda: progress.advance(bar))
    report = Report.of(subject.base, load, count_kinds(mixed), turns)
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
