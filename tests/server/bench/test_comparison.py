from dataclasses import replace

import pytest

from server.bench.comparison import OURS, Compared, Ratios, Standing
from server.bench.errors import BenchError
from server.bench.load import Load
from server.bench.measures import Measure, measure_of
from server.bench.turns import Turn
from tests.server.bench.turns import LOAD, run, turn


def test_a_standing_holds_medians_of_its_turns() -> None:
    standing = Standing.of(LOAD, [turn(1.0, 2.0), turn(2.0, 2.0), turn(4.0, 5.0)])
    assert standing.base is not None
    assert standing.mixed is not None
    assert standing.base.throughput == 10.0
    assert standing.mixed.throughput == 10.0
    assert standing.kept == 0.8


def test_ratios_are_medians_of_turns_not_ratios_of_medians() -> None:
    ours = [turn(1.0, 2.0), turn(2.0, 2.0), turn(1.0, 1.0)]
    theirs = [turn(2.0, 6.0), turn(2.0, 8.0), turn(5.0, 5.0)]
    assert Ratios.of(ours, theirs) == Ratios(base=2.0, mixed=4.0, merged=1.0)


def test_a_peer_without_deltas_has_ratios_to_its_base_alone() -> None:
    compared = Compared.of(
        Measure("decode", LOAD, tasks=2), {OURS: [turn(1.0, 2.0)], "bare": [turn(2.0)]}
    )
    assert compared.sides["bare"].mixed is None
    assert compared.sides["bare"].kept is None
    assert compared.ratios == {"bare": Ratios(base=2.0, mixed=None, merged=1.0)}


def test_a_rate_counts_the_prompt_where_the_answer_is_one_token() -> None:
    prefill = replace(LOAD, output_tokens=1)
    standing = Standing.of(prefill, [Turn(run(1.0, tokens=1), None)])
    assert standing.base is not None
    assert standing.base.throughput == 100.0
    assert Measure("prefill", prefill, tasks=1).unit == "prompt tokens/s"
    assert Measure("decode", LOAD, tasks=1).unit == "output tokens/s"


def test_a_measure_yields_to_what_is_asked_for() -> None:
    assert measure_of("single", tasks=3, requests=2) == Measure("single", Load(1, 2, 64, 64), 3)
    with pytest.raises(BenchError, match="choose from decode, prefill, single, encode"):
        measure_of("speed")
