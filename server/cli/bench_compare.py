"""`polydelta bench --peer`: Polydelta beside others, in one run."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from server.bench.comparison import Compared, Comparison
from server.bench.contest import contest
from server.bench.figures import Figures
from server.bench.measures import Measure
from server.bench.mix import Form
from server.bench.peers.environment import Environment
from server.bench.peers.peer import Peer
from server.bench.plot import plot_comparison
from server.bench.subject import Subject
from server.bench.turns import Course
from server.cli.flags import Format
from server.cli.printing import err, out, print_json, print_table
from server.cli.progress import progress


def compare(
    subject: Subject,
    peers: Sequence[tuple[Peer, Environment]],
    measures: Sequence[Measure],
    form: Form,
    course: Course,
    plot: Path | None,
    output: Format,
) -> None:
    """Run peers on the same loads, print a table, draw a plot."""
    with (
        contest(subject, peers, measures, form, course, err.print) as ready,
        progress("Measuring", ready.requests(measures)) as done,
    ):
        comparison = ready.run(measures, done, err.print)
    if plot:
        plot.write_text(plot_comparison(comparison))
    print_json(comparison) if output == "json" else print_comparison(comparison)


def print_comparison(comparison: Comparison) -> None:
    """Print a table a measure."""
    room = f"processors a side: {comparison.quota:g}; " if comparison.quota else ""
    out.print(
        f"{comparison.base} in {comparison.dtype}, {comparison.deltas}; {room}"
        f"repeated {comparison.repeat} times; medians\n{_LEGEND}",
        markup=False,
    )
    for compared in comparison.measures:
        load = compared.measure.load
        where = f"; busy processes beside: {compared.beside}" if compared.beside else ""
        out.print(
            f"\n{compared.measure.name}: {load.requests} requests of {load.input_tokens} tokens in "
            f"and {load.output_tokens} out, {load.concurrency} at once, mixed over "
            f"{compared.measure.tasks} deltas; {compared.unit}{where}\n",
            markup=False,
        )
        print_table(_HEADINGS, _rows(compared))
        if compared.beside:
            out.print()
            print_table(("BESIDE / QUIET", "BASE", "MIXED"), _shares(compared))


_HEADINGS = ("", "BASE", "MIXED", "KEPT", "FIRST, MS", "x BASE", "x MIXED", "x MERGED")
_LEGEND = (
    "kept: mixed / its own base; first: median milliseconds to the first token; x: polydelta / "
    "peer, base to base, mixed to mixed, and polydelta's mixed to the peer's base, which stands "
    "for a delta merged into it"
)


def _rows(compared: Compared) -> Iterator[tuple[str, ...]]:
    for name, side in compared.sides.items():
        ratios, figures = compared.ratios.get(name), side.mixed or side.base
        yield (
            name,
            _rate(side.base, "base" in side.given_up),
            _rate(side.mixed, "mixed" in side.given_up),
            _ratio(side.kept),
            f"{figures.first_token.p50:.0f}" if figures else "-",
            _ratio(ratios and ratios.base),
            _ratio(ratios and ratios.mixed),
            _ratio(ratios and ratios.merged),
        )


def _shares(compared: Compared) -> Iterator[tuple[str, ...]]:
    for name, share in compared.steadiness.items():
        yield name, _ratio(share.base), _ratio(share.mixed)


def _rate(figures: Figures | None, given_up: bool) -> str:
    if figures:
        return f"{figures.throughput:.1f}"
    return "given up" if given_up else "-"


def _ratio(value: float | None) -> str:
    return f"{value:.2f}" if value is not None else "-"
