"""`polydelta bench --overload`: what the admitted wait while many more ask than have a place."""

from server.bench.load import Load
from server.bench.mix import Mix
from server.bench.overload import FACTORS, Overload, measure_overload
from server.bench.subject import Subject
from server.bench.tasks import count_kinds, tasks_for
from server.bench.traffic import Traffic
from server.cli.bench_alone import cell
from server.cli.bench_start import prepared
from server.cli.flags import Format
from server.cli.printing import out, print_json, print_table
from server.cli.progress import progress


def print_overload(subject: Subject, load: Load, mix: Mix, count: int, output: Format) -> None:
    """Put up to 20 times as many clients on a server as it has places and print the waits."""
    places = str(load.concurrency)
    ready = prepared(subject, tasks_for, mix, count, count, max_sequences=places)
    with ready as (url, tasks):
        models = Traffic([task.id for task in tasks], bare=mix.bare).mixed(load.concurrency)
        with progress("Measuring", len(FACTORS) * load.requests) as done:
            levels = measure_overload(url, load, models, done)
    overload = Overload.of(subject.base, load, count_kinds(tasks), levels)
    print_json(overload) if output == "json" else print_levels(overload)


def print_levels(overload: Overload) -> None:
    """Print a row for each load."""
    load = overload.load
    kinds = ", ".join(f"{count} {kind}" for kind, count in overload.kinds.items())
    out.print(
        f"{overload.base}: {load.requests} answers to {load.input_tokens} tokens in and about "
        f"{load.output_tokens} out, {load.concurrency} places\ntasks: {kinds}\n",
        markup=False,
    )
    rows = [
        (
            f"{level.factor}x",
            cell(level.first_token),
            f"{ratio:.2f}",
            f"{level.refused:.0%}",
            "-" if level.kept is None else f"{level.kept:.0%}",
            f"{level.throughput:.1f}",
        )
        for level, ratio in zip(overload.levels, overload.ratios, strict=True)
    ]
    print_table(_HEADINGS, rows)


_HEADINGS = (
    "LOAD",
    "FIRST TOKEN, MS (P50 / P99)",
    "P99 / 1X",
    "REFUSED",
    "ADMITTED WHEN TOLD TO COME",
    "OUTPUT TOKENS/S",
)
