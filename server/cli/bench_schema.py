"""`polydelta bench --schema`: what it costs that answers keep to JSON schemas."""

from server.bench.load import Load
from server.bench.mix import Mix
from server.bench.schema import Schemas, measure_schemas, requests_of
from server.bench.subject import Subject
from server.bench.tasks import count_kinds, tasks_for
from server.cli.bench_alone import cell, print_figures
from server.cli.bench_start import prepared
from server.cli.flags import Format
from server.cli.printing import out, print_json, print_table
from server.cli.progress import progress


def print_schemas(
    subject: Subject, load: Load, mix: Mix, tasks: int, repeat: int, output: Format
) -> None:
    """Run a load over so many tasks without schemas and with, in turns, and print both."""
    with prepared(subject, tasks_for, mix, tasks, tasks) as (url, mixed):
        names = [task.id for task in mixed]
        with progress("Measuring", requests_of(load, repeat)) as done:
            turns = measure_schemas(url, names, load, repeat, done)
    found = Schemas.of(subject.base, load, count_kinds(mixed), turns)
    print_json(found) if output == "json" else _print(found)


def _print(found: Schemas) -> None:
    load, kinds = found.load, ", ".join(f"{count} {kind}" for kind, count in found.kinds.items())
    out.print(
        f"{found.base}: {load.requests} requests of {load.input_tokens} tokens in and at most "
        f"{load.output_tokens} out, {load.concurrency} at once, {found.repeat} times\n"
        f"tasks: {kinds}; with schemas, half of the requests have one",
        markup=False,
    )
    print_figures({"WITHOUT": found.without, "SCHEMAS": found.schema})
    if found.ratio is not None:
        out.print(f"schemas / without: {found.ratio:.3f}\n", markup=False)
    row = "first token alone, ms (p50 / p99)", cell(found.bare), cell(found.new)
    print_table(("", "WITHOUT", "NEW SCHEMA"), [row])
    out.print(f"\nnew schema - without: {found.added:.1f} ms", markup=False)
