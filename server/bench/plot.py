"""A comparison as an SVG: a panel a measure, in it two bars a side."""

from collections.abc import Iterator
from itertools import accumulate
from xml.sax.saxutils import escape

from server.bench.comparison import Compared, Comparison, Standing

_WIDTH, _LEFT, _RIGHT, _PAD = 760, 170, 80, 16
_HEAD, _BAR, _GAP, _LINE = 56, 16, 10, 14
_SPAN = _WIDTH - _LEFT - _RIGHT
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1f2328}.title{font-weight:600;font-size:15px}"
    ".side{text-anchor:end}.note{fill:#59636e;font-size:12px}.paper{fill:#fff}"
    ".base{fill:#a8b3bf}.mixed{fill:#2a78d6}"
    "@media(prefers-color-scheme:dark){text{fill:#f0f6fc}.note{fill:#9198a1}"
    ".paper{fill:#0d1117}.base{fill:#656c76}.mixed{fill:#4c96e8}}"
)


def plot_comparison(comparison: Comparison) -> str:
    """Draw the median rates of every side under every measure."""
    heights = [_HEAD + len(compared.sides) * _row_height() for compared in comparison.measures]
    tops = list(accumulate(heights, initial=_PAD))
    height = tops[-1] + _LINE + _PAD
    body = [
        line
        for top, compared in zip(tops, comparison.measures, strict=False)
        for line in _panel(compared, top)
    ]
    note = (
        f"{comparison.base}, {comparison.dtype}, {comparison.deltas}; "
        f"repeated {comparison.repeat} times; medians"
    )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
            f'viewBox="0 0 {_WIDTH} {height}" role="img">',
            f"<title>{escape(note)}</title>",
            f"<style>{_STYLE}</style>",
            f'<rect class="paper" width="{_WIDTH}" height="{height}"/>',
            *body,
            _text(_PAD, tops[-1] + _LINE, "note", note),
            "</svg>\n",
        ]
    )


def _panel(compared: Compared, top: int) -> Iterator[str]:
    measure, load = compared.measure, compared.measure.load
    where = f", beside {compared.beside} busy" if compared.beside else ""
    yield _text(_PAD, top + _LINE, "title", f"{measure.name}{where}: {compared.unit}")
    yield _text(
        *(_PAD, top + _LINE + 18, "note"),
        f"{load.concurrency} at once, {load.input_tokens} in, {load.output_tokens} out; light: "
        f"bare base, dark: mixed over {measure.tasks} deltas",
    )
    rates = (rate for side in compared.sides.values() for _, rate in _rates(side))
    most = max(rates, default=0.0)
    for row, (name, side) in enumerate(compared.sides.items()):
        at = top + _HEAD - _GAP + row * _row_height()
        yield _text(_LEFT - 8, at + _BAR + 4, "side", name)
        for kind, (style, rate) in enumerate(_rates(side)):
            yield from _bar(at + kind * _BAR, style, rate, rate / most)


def _rates(side: Standing) -> Iterator[tuple[str, float]]:
    if side.base:
        yield "base", side.base.throughput
    if side.mixed:
        yield "mixed", side.mixed.throughput


def _bar(top: int, style: str, rate: float, share: float) -> Iterator[str]:
    length = round(share * _SPAN, 1)
    yield (
        f'<rect class="{style}" x="{_LEFT}" y="{top}" width="{length}" height="{_BAR - 2}" rx="2"/>'
    )
    yield _text(_LEFT + length + 6, top + _BAR - 4, "note", f"{rate:,.1f}")


def _row_height() -> int:
    return 2 * _BAR + _GAP


def _text(x: float, y: float, style: str, words: str) -> str:
    return f'<text class="{style}" x="{x}" y="{y}">{escape(words)}</text>'
