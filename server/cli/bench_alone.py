"""`polydelta bench` without peers: one server, bare, with mixed deltas and with many of them."""

from collections.abc import Mapping
from dataclasses import asdict

from server.bench.comparison import OURS
from server.bench.endpoint import Endpoint
from server.bench.figures import Figures, Percentiles
from server.bench.measures import Measure
from server.bench.mix import Mix
from server.bench.report import Outcome, Report
from server.bench.side import Served
from server.bench.subject import Subject
from server.bench.tasks import count_kinds, tasks_for
from server.bench.traffic import Traffic
from server.bench.trial import Trial
from server.bench.turns import Course
from server.cli.bench_start import prepared
from server.cli.flags import Format
from server.cli.printing import err, out, print_json, print_table
from server.cli.progress import progress


def measure_alone(
    subject: Subject,
    wanted: Measure,
    mix: Mix,
    registered: int,
    slots: int | None,
    course: Course,
    output: Format,
) -> None:
    """Measure one server and print what it did; spread over `registered` tasks if not 0."""
    load, few, count = wanted.load, wanted.tasks, registered or wanted.tasks
    slots = slots or few
    with prepared(subject, tasks_for, mix, count, slots) as (url, tasks):
        names = [task.id for task in tasks]
        # The few come last among the many: they have just been asked.
        many = [*names[few:], *names[:few]] if registered else []
        traffic = Traffic(names[:few], many, mix.bare)
        runs = (3 if registered else 2) * course.runs
        with progress("Measuring", runs * load.requests) as done:
            trial = Trial(wanted, traffic, course, done, err.print)
            turns = trial.run([Served(OURS, Endpoint(url))])[OURS]
    report = Report.of(
        subject.base,
        load,
        turns,
        kinds=count_kinds(tasks[:few]),
        base_share=sum(mix.bare) / len(mix.bare),
        registered=count,
        slots=slots if subject.url is None else None,
        quota=subject.quota,
        busy=course.busy,
    )
    print_json(report) if output == "json" else _print(report)


def _print(report: Report) -> None:
    kinds = ", ".join(f"{count} {kind}" for kind, count in report.kinds.items())
    load = report.load
    out.print(
        f"{report.base}: {load.requests} requests of {load.input_tokens} tokens in and "
        f"{load.output_tokens} out, {load.concurrency} at once, {report.repeat} times\n"
        f"mixed: {kinds}",
        markup=False,
    )
    if report.quota:
        out.print(f"processors of the server: {report.quota:g}", markup=False)
    if report.base_share:
        out.print(f"of the mixed requests, {report.base_share:.0%} ask the bare base")
    if report.spread:
        room = f", {report.slots} slots" if report.slots else ""
        out.print(f"spread: over {report.registered} tasks{room}")
    _print_outcome(report)
    if report.beside:
        out.print(f"\nbusy processes beside: {report.beside.busy}")
        _print_outcome(report.beside)
        for name, share in asdict(report.beside.steadiness).items():
            if share is not None:
                out.print(f"{name} beside / quiet: {share:.3f}", markup=False)


def _print_outcome(outcome: Outcome) -> None:
    print_figures({"BASE": outcome.bare, "MIXED": outcome.mixed, "SPREAD": outcome.spread})
    for name, count in outcome.given_up.items():
        out.print(f"{name} given up: {count}", markup=False)
    ratios = {"mixed / base": outcome.ratio, "spread / mixed": outcome.spread_ratio}
    for name, ratio in ratios.items():
        if ratio is not None:
            out.print(f"{name}: {ratio:.3f}", markup=False)


_NAMES = (
    "output tokens/s",
    "first token, ms (p50 / p99)",
    "between tokens, ms (p50 / p99)",
    "health answers, ms (p50 / p99)",
)


def print_figures(figures: Mapping[str, Figures | None]) -> None:
    """Print kinds of traffic as the columns of a table; those that there are not are left out."""
    columns = {name: _column(each) for name, each in figures.items() if each}
    out.print()
    print_table(("", *columns), zip(_NAMES, *columns.values(), strict=True))
    out.print()


def _column(figures: Figures) -> tuple[str, ...]:
    return (
        f"{figures.throughput:.1f}",
        cell(figures.first_token),
        cell(figures.inter_token),
        cell(figures.health),
    )


def cell(found: Percentiles | None) -> str:
    """Two percentiles in a table."""
    return "-" if found is None else f"{found.p50:.1f} / {found.p99:.1f}"
