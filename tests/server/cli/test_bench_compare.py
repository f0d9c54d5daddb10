"""`polydelta bench --peer`, with a peer that runs under the tests' own interpreter."""

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from polydelta_client import Polydelta as Client
from server.bench.comparison import OURS, Compared, Comparison
from server.bench.measures import Measure
from server.bench.turns import Turn
from server.cli.bench_compare import print_comparison
from tests.server.bench.environments import borrow
from tests.server.bench.turns import LOAD as LOADED
from tests.server.bench.turns import turn
from tests.server.cli.conftest import Polydelta

LOAD = ("--requests", "3", "--concurrency", "2", "--input-tokens", "8", "--tasks", "2")


def test_a_peer_is_measured_on_the_same_load(
    polydelta: Polydelta, url: str, decoder: Path, tmp_path: Path
) -> None:
    borrow("transformers", tmp_path / "cache")
    plot = tmp_path / "plot.svg"
    result = polydelta(
        *("bench", "--url", url, "--base", str(decoder), "--dtype", "float32"),
        *("--peer", "all", "--cache", str(tmp_path / "cache"), "--rank", "4"),
        *("--measure", "decode", "--measure", "single", "--output-tokens", "4", *LOAD),
        *("--repeat", "2", "--beside", "1", "--plot", str(plot), "-o", "json"),
    )
    assert result.code == 0, result.err
    report = json.loads(result.out)
    assert (report["dtype"], report["repeat"]) == ("float32", 2)
    assert report["deltas"] == "LoRAs of rank 4 on k_proj, o_proj, q_proj, v_proj"
    made = [(compared["measure"]["name"], compared["beside"]) for compared in report["measures"]]
    assert made == [("decode", 0), ("decode", 1), ("single", 0), ("single", 1)]
    for compared in report["measures"]:
        for side in ("polydelta", "transformers"):
            standing = compared["sides"][side]
            assert standing["base"]["throughput"] > 0
            assert standing["mixed"]["throughput"] > 0
        ratios = compared["ratios"]["transformers"]
        assert all(ratios[name] > 0 for name in ("base", "mixed", "merged"))
        steadiness = compared["steadiness"]
        assert list(steadiness) == (["polydelta", "transformers"] if compared["beside"] else [])
        assert all(side[name] > 0 for side in steadiness.values() for name in ("base", "mixed"))
    assert ET.parse(plot).getroot().tag.endswith("svg")
    with Client(url) as client:
        assert [task.id for task in client.tasks.list()] == ["spam"]


@pytest.mark.parametrize(
    ("measure", "message"),
    [("decode", "writes no text; give --measure encode"), ("encode", "No peer named serves enc")],
)
def test_an_encoder_is_compared_with_peers_that_encode(
    polydelta: Polydelta, encoder: Path, tmp_path: Path, measure: str, message: str
) -> None:
    borrow("transformers", tmp_path)
    result = polydelta(
        *("bench", "--base", str(encoder), "--peer", "all", "--cache", str(tmp_path)),
        *("--measure", measure, "--tasks", "1"),
    )
    assert result.code == 1
    assert message in result.err


def test_the_table_names_every_side_and_ratio(capsys: pytest.CaptureFixture[str]) -> None:
    measure = Measure("prefill", replace(LOADED, output_tokens=1), tasks=2)
    turns = {OURS: [turn(1.0, 2.0)], "another": [turn(3.0, 8.0)], "bare": [turn(5.0)]}
    compared = Compared.of(measure, turns)
    print_comparison(Comparison("tiny", "float32", "LoRAs of rank 16 on gate_proj", 1, (compared,)))
    printed = capsys.readouterr().out
    assert "gate_proj" in printed
    assert "prompt tokens/s" in printed
    lines = {line.split()[0]: line.split()[-3:] for line in printed.splitlines() if line}
    assert lines["polydelta"] == ["-", "-", "-"]
    assert lines["another"] == ["3.00", "4.00", "1.50"]
    assert lines["bare"] == ["5.00", "-", "2.50"]


def test_a_second_table_stands_for_the_runs_beside(capsys: pytest.CaptureFixture[str]) -> None:
    measure = Measure("decode", LOADED, tasks=2)
    slow = Turn.of({"base": None})
    turns = {
        OURS: [replace(turn(1.0, 2.0), beside=turn(2.0, 8.0))],
        "another": [replace(turn(3.0, 8.0), beside=turn(4.0, 8.0))],
        "slow": [replace(slow, beside=slow)],
    }
    both = tuple(Compared.each(measure, turns, 3))
    print_comparison(Comparison("tiny", "float32", "LoRAs", 1, both))
    quiet, beside = capsys.readouterr().out.split("busy processes beside: 3")
    assert "/ QUIET" not in quiet
    rates, shares = beside.split("BESIDE / QUIET")
    assert "another    5.0       2.5" in rates
    assert "2.00    1.00     0.50" in rates
    assert "slow       given up  -" in rates
    lines = {line.split()[0]: line.split()[1:] for line in shares.splitlines() if line}
    assert lines["polydelta"] == ["0.50", "0.25"]
    assert lines["another"] == ["0.75", "1.00"]
    assert lines["slow"] == ["-", "-"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--peer", "vllm"), "run: polydelta bench install vllm"),
        (("--peer", "vlm"), "There is no peer 'vlm'"),
        (("--measure", "speed"), "There is no measure 'speed'"),
        (("install", "vlm"), "There is no peer 'vlm'"),
        (("--measure", "decode", "--measure", "single"), "need a --peer"),
    ],
)
def test_what_cannot_be_compared_says_why(
    polydelta: Polydelta,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.setenv("POLYDELTA_CACHE", str(tmp_path))
    result = polydelta("bench", *arguments)
    assert result.code != 0
    assert message in result.err
