"""`polydelta bench --cold`: what a delta's first request waits for."""

from server.bench.cold import Cold, Plan, measure_cold
from server.bench.mix import Mix
from server.bench.subject import Subject
from server.bench.tasks import count_kinds, fresh_tasks
from server.cli.bench_alone import cell
from server.cli.bench_start import prepared
from server.cli.flags import Format
from server.cli.printing import out, print_json, print_table
from server.cli.progress import progress


def print_cold(
    subject: Subject, plan: Plan, mix: Mix, tasks: int, slots: int | None, output: Format
) -> None:
    """Ask so many fresh tasks twice each and print how long their first tokens took."""
    kinds = len(mix.deltas)
    count = kinds + tasks
    with prepared(subject, fresh_tasks, mix, count, slots or count) as (url, fresh):
        names = [task.id for task in fresh]
        with progress("Measuring", 1 + kinds + 3 * tasks) as done:
            timings = measure_cold(url, plan, names[:kinds], names[kinds:], done)
    cold = Cold.of(subject.base, plan, count_kinds(fresh[kinds:]), timings)
    print_json(cold) if output == "json" else _print(cold)


def _print(cold: Cold) -> None:
    kinds = ", ".join(f"{count} {kind}" for kind, count in cold.kinds.items())
    out.print(
        f"{cold.base}: requests of {cold.input_tokens} tokens in, one at a time, beside "
        f"{cold.streams} streams of the bare base\nfresh: {kinds}\n",
        markup=False,
    )
    row = "first token, ms (p50 / p99)", *map(cell, (cold.bare, cold.resident, cold.cold))
    print_table(("", "BASE", "RESIDENT", "COLD"), [row])
    out.print(f"\ncold - resident: {cold.added:.1f} ms", markup=False)
