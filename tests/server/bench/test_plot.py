from xml.etree import ElementTree as ET

from server.bench.comparison import OURS, Compared, Comparison
from server.bench.measures import Measure
from server.bench.plot import plot_comparison
from tests.server.bench.turns import LOAD, turn

SVG = "{http://www.w3.org/2000/svg}"


def draw() -> ET.Element:
    turns = {OURS: [turn(1.0, 2.0)], "a <peer> & more": [turn(4.0)]}
    measures = tuple(
        Compared.of(Measure(name, LOAD, tasks=2), turns) for name in ("decode", "single")
    )
    comparison = Comparison("base", "float32", "LoRAs", 1, measures)
    return ET.fromstring(plot_comparison(comparison))


def test_every_side_has_a_bar_for_each_of_its_rates() -> None:
    bars = [(bar.get("class"), float(bar.get("width", 0))) for bar in draw().iter(f"{SVG}rect")]
    longest = bars[1][1]
    panel = [("base", longest), ("mixed", longest / 2), ("base", longest / 4)]
    assert bars[1:4] == bars[4:7]
    assert [(style, round(width)) for style, width in bars[1:4]] == [
        (style, round(width)) for style, width in panel
    ]


def test_everything_lies_within_the_picture_and_names_are_escaped() -> None:
    picture = draw()
    texts = ["".join(text.itertext()) for text in picture.iter(f"{SVG}text")]
    assert texts.count("a <peer> & more") == 2
    height = float(picture.get("height", 0))
    assert all(0 < float(text.get("y", 0)) < height for text in picture.iter(f"{SVG}text"))
