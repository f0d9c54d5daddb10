import asyncio
import json
import socket
import threading
from pathlib import Path

import pytest

from polydelta_client import Polydelta as Client
from server.bench.cold import Cold, Plan, measure_cold
from server.bench.completion import Timing
from server.bench.endpoint import Endpoint
from server.bench.errors import BenchError
from server.bench.figures import Percentiles
from server.bench.load import Load, Run, drive
from server.bench.overload import Level, Overload
from server.bench.report import Report
from server.bench.turns import Turn
from server.cli.bench_overload import print_levels
from tests.kernels import needs_kernels
from tests.server.cli.conftest import Polydelta

LOAD = ("--requests", "6", "--concurrency", "3", "--input-tokens", "8", "--output-tokens", "4")


def test_tasks_are_made_up_measured_and_removed(
    polydelta: Polydelta, url: str, decoder: Path
) -> None:
    where = ("--url", url, "--base", str(decoder))
    result = polydelta("bench", *where, "--tasks", "5", "--repeat", "2", *LOAD, "-o", "json")
    report = json.loads(result.out)
    assert report["kinds"] == {"lora": 1, "bottleneck": 1, "prefix": 1, "ia3": 1, "prompt": 1}
    assert (report["registered"], report["base_share"], report["spread"]) == (5, 0, None)
    assert report["ratio"] > 0
    for side in (report["bare"], report["mixed"]):
        assert side["throughput"] > 0
        for spread in (side["first_token"], side["inter_token"], side["health"]):
            assert 0 < spread["p50"] <= spread["p99"]
    with Client(url) as client:
        assert [task.id for task in client.tasks.list()] == ["spam"]


def test_many_tasks_are_registered_asked_and_removed(
    polydelta: Polydelta, url: str, decoder: Path
) -> None:
    where = ("--url", url, "--base", str(decoder), "--kinds", "lora,base", "--rank", "4")
    many = ("--tasks", "2", "--registered", "20", "--repeat", "2", *LOAD)
    report = json.loads(polydelta("bench", *where, *many, "-o", "json").out)
    assert (report["kinds"], report["base_share"]) == ({"lora": 2}, 0.5)
    assert (report["registered"], report["slots"]) == (20, None)
    assert report["spread"]["throughput"] > 0
    assert report["spread_ratio"] > 0
    with Client(url) as client:
        assert [task.id for task in client.tasks.list()] == ["spam"]


def test_a_server_is_started_with_so_many_slots(polydelta: Polydelta, decoder: Path) -> None:
    few = ("--tasks", "1", "--registered", "3", "--slots", "2", "--repeat", "1", *LOAD)
    result = polydelta("bench", "--base", str(decoder), "--dtype", "float32", *few)
    assert "spread: over 3 tasks, 2 slots" in result.out
    assert "spread / mixed: " in result.out


def test_every_run_is_made_again_beside_busy_processes(
    polydelta: Polydelta, url: str, decoder: Path
) -> None:
    where = ("--url", url, "--base", str(decoder), "--tasks", "1", "--registered", "2")
    beside = (*where, "--repeat", "2", "--beside", "1", *LOAD)
    report = json.loads(polydelta("bench", *beside, "-o", "json").out)
    again = report["beside"]
    assert again["busy"] == 1
    assert again["mixed"]["throughput"] not in (0, report["mixed"]["throughput"])
    assert min(again["ratio"], again["spread_ratio"], *again["steadiness"].values()) > 0
    printed = polydelta("bench", *beside).out
    assert "busy processes beside: 1" in printed
    assert printed.count("mixed / base: ") == 2
    for name in ("base", "mixed", "spread"):
        assert f"{name} beside / quiet: " in printed


def test_runs_that_take_too_long_are_given_up_and_said_so(
    polydelta: Polydelta, url: str, decoder: Path
) -> None:
    where = ("--url", url, "--base", str(decoder), "--tasks", "1", "--repeat", "1")
    endless = ("--requests", "1000000", "--input-tokens", "8", "--turn-seconds", "1")
    result = polydelta("bench", *where, *endless, "--output-tokens", "4")
    assert "polydelta, decode, turn 1, base: given up after 1 seconds." in result.err
    assert "mixed given up: 1" in result.out
    assert "mixed / base" not in result.out
    assert result.code == 0


@pytest.mark.parametrize("streams", [(), ("--concurrency", "2")])
def test_fresh_tasks_are_asked_cold_and_resident(
    polydelta: Polydelta, url: str, decoder: Path, streams: tuple[str, ...]
) -> None:
    where = ("--url", url, "--base", str(decoder), "--kinds", "lora,prefix")
    fresh = ("--cold", "--tasks", "2", "--repeat", "2", "--input-tokens", "8", *streams)
    found = json.loads(polydelta("bench", *where, *fresh, "-o", "json").out)
    assert found["kinds"] == {"lora": 2, "prefix": 2}
    assert found["streams"] == (2 if streams else 0)
    assert all(found[name]["p50"] > 0 for name in ("bare", "resident", "cold"))
    assert "cold - resident: " in polydelta("bench", *where, *fresh).out
    with Client(url) as client:
        assert [task.id for task in client.tasks.list()] == ["spam"]


def test_what_a_cold_request_adds_is_a_median_of_pairs() -> None:
    firsts = [0.5, 0.1, 0.1, 0.3, 0.2, 0.1, 0.9, 0.8, 0.1]
    timings = [Timing([first], tokens=1) for first in firsts]
    cold = Cold.of("any", Plan(Load(1, 1, 8, 1), 0), {}, timings)
    assert cold.added == pytest.approx(100.0)
    assert [cold.cold.p50, cold.resident.p50, cold.bare.p50] == pytest.approx([500, 200, 100])


def test_an_overload_names_what_the_admitted_wait(polydelta: Polydelta, decoder: Path) -> None:
    few = ("--tasks", "2", "--kinds", "lora", "--dtype", "float32")
    load = ("--requests", "40", "--concurrency", "2", "--input-tokens", "8")
    command = ("bench", "--overload", "--base", str(decoder), *few, *load, "--output-tokens", "6")
    found = json.loads(polydelta(*command, "-o", "json").out)
    levels = found["levels"]
    assert [(level["factor"], level["clients"]) for level in levels] == [
        (1, 2),
        (2, 4),
        (10, 20),
        (20, 40),
    ]
    assert levels[0]["refused"] == 0
    assert levels[0]["kept"] is None
    for level, ratio in zip(levels, found["ratios"], strict=True):
        assert ratio == level["first_token"]["p99"] / levels[0]["first_token"]["p99"]
        assert 0 <= level["refused"] < 1
        assert level["throughput"] > 0


def test_the_levels_of_an_overload_are_rows(capsys: pytest.CaptureFixture[str]) -> None:
    levels = [
        Level(1, 2, 50.0, Percentiles(10.0, 20.0), refused=0.0, kept=None),
        Level(20, 40, 60.0, Percentiles(15.0, 30.0), refused=0.9, kept=0.75),
    ]
    print_levels(Overload.of("tiny", Load(2, 40, 8, 6), {"lora": 2}, levels))
    printed = capsys.readouterr().out
    assert "P99 / 1X" in printed
    lines = {line.split()[0]: line.split()[-4:] for line in printed.splitlines() if line}
    assert lines["1x"] == ["1.00", "0%", "-", "50.0"]
    assert lines["20x"] == ["1.50", "90%", "75%", "60.0"]


def test_schemas_are_measured_in_turns(polydelta: Polydelta, url: str, decoder: Path) -> None:
    where = ("--url", url, "--base", str(decoder), "--kinds", "lora", "--tasks", "2")
    command = ("bench", "--schema", *where, "--repeat", "2", *LOAD)
    found = json.loads(polydelta(*command, "-o", "json").out)
    assert (found["kinds"], found["repeat"]) == ({"lora": 2}, 2)
    assert min(found[name]["throughput"] for name in ("without", "schema")) > 0
    assert found["ratio"] > 0
    assert min(found[name]["p50"] for name in ("bare", "new")) > 0
    table = polydelta(*command).out
    assert "schemas / without: " in table
    assert "new schema - without: " in table


def test_streams_beside_cold_requests_that_fail_say_why(url: str) -> None:
    # The base has room for six tokens more: the stream fails before the requests are through.
    plan = Plan(Load(1, 1, 250, 10_000), streams=1)
    with pytest.raises(BenchError, match="10000"):
        measure_cold(url, plan, [], ["base"] * 20, lambda: None)


@needs_kernels
def test_a_profile_accounts_for_the_time_of_steps(polydelta: Polydelta, decoder: Path) -> None:
    where = (
        "--base",
        str(decoder),
        "--dtype",
        "float32",
        "--tasks",
        "2",
        "--kinds",
        "lora,bottleneck",
    )
    result = polydelta("bench", "--profile", *where, *LOAD, "-o", "json")
    for name, found in json.loads(result.out).items():
        assert found["steps"] >= 4
        assert found["rows"] == 6 * (8 + 4 - 1)
        assert {"projections, with LoRAs", "attention", "sampling"} <= found["parts"].keys()
        assert min(found["parts"].values()) >= 0
        assert (found["parts"].get("other small-rank deltas", 0) > 0) is (name == "mixed")
        assert found["bound"] > 0
    table = polydelta("bench", "--profile", *where, *LOAD).out
    assert "step / bound" in table


def test_fidelity_names_what_a_precision_costs(
    polydelta: Polydelta, decoder: Path, tmp_path: Path
) -> None:
    text = tmp_path / "text"
    text.write_text("The meeting is at noon, see you there.")
    command = ("bench", "fidelity", "--base", str(decoder), "--dtype", "bfloat16")
    found = json.loads(polydelta(*command, "--text", str(text), "-o", "json").out)
    assert found["dtype"] == "bfloat16"
    assert 0 <= found["alike"] <= 1
    assert "divergence from float32" in polydelta(*command, "--text", str(text)).out
    assert "does not exist" in polydelta(*command, "--text", str(tmp_path / "not")).err


def test_the_table_names_the_ratio(polydelta: Polydelta, url: str, decoder: Path) -> None:
    where = ("--url", url, "--base", str(decoder))
    result = polydelta("bench", *where, "--tasks", "1", "--repeat", "1", *LOAD)
    assert "mixed / base: " in result.out
    assert "output tokens/s" in result.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--input-tokens", "10000"), "the input has 10000"),
        (("--kinds", "lara"), "There is no kind 'lara'"),
    ],
)
def test_a_load_that_cannot_run_says_why(
    polydelta: Polydelta, url: str, decoder: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = polydelta(
        "bench", "--url", url, "--base", str(decoder), "--tasks", "1", *LOAD, *arguments
    )
    assert result.code == 1
    assert message in result.err
    with Client(url) as client:
        assert [task.id for task in client.tasks.list()] == ["spam"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--profile", "--cold"),
            "choose one of --profile, --cold, --overload, --schema",
        ),
        (("--overload", "--beside", "1"), "--beside needs a run without"),
        (("--profile", "--url", "http://any"), "leave out --url"),
        (("--peer", "all", "--kinds", "lora"), "leave out the kinds"),
        (("--kinds", "base"), "mixes nothing"),
        (("--registered", "16"), "more than the 16 tasks"),
        (("--registered", "20", "--cold"), "needs a run without"),
        (("--schema", "--beside", "1"), "--beside needs a run without"),
        (("--slots", "2", "--url", "http://any"), "a server started here"),
        (("--cold", "--beside", "1"), "--beside needs a run without"),
        (("--cpu-quota", "1", "--url", "http://any"), "for servers started here"),
        (("--cold", "--plot", "any.svg"), "need a --peer"),
    ],
)
def test_flags_that_do_not_go_together_say_why(
    polydelta: Polydelta, arguments: tuple[str, ...], message: str
) -> None:
    result = polydelta("bench", *arguments)
    assert result.code != 0
    assert message in " ".join(result.err.replace("│", " ").split())


def test_a_server_that_does_not_start_says_why(polydelta: Polydelta) -> None:
    result = polydelta("bench", "--base", "./not/here")
    assert result.code == 1
    assert "There is no directory ./not/here" in result.err


def run(elapsed: float) -> Run:
    return Run([Timing([0.1, 0.2, 0.4], tokens=10)] * 2, elapsed, [0.001])


def test_figures_are_medians_over_turns() -> None:
    turns = [Turn(run(1.0), run(2.0)), Turn(run(2.0), run(2.0)), Turn(run(4.0), run(5.0))]
    report = Report.of("any", Load(1, 2, 3, 10), turns, kinds={})
    assert report.bare is not None
    assert report.mixed is not None
    assert report.bare.throughput == 10.0
    assert report.mixed.throughput == 10.0
    assert report.ratio == 0.8
    assert report.bare.first_token == Percentiles(100.0, 100.0)
    between = report.bare.inter_token
    assert between is not None
    assert (between.p50, between.p99) == (pytest.approx(100.0), pytest.approx(200.0))


def test_a_run_may_end_before_the_first_answers() -> None:
    hasty = Run([Timing([0.1], tokens=1)], 1.0, [])
    report = Report.of("any", Load(1, 1, 3, 1), [Turn(hasty, hasty)], kinds={})
    assert report.bare is not None
    assert report.bare.inter_token is None
    assert report.bare.health is None


def test_a_server_that_goes_away_is_one_line(polydelta: Polydelta) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        load = Load(1, 1, 1, 1)
        hang_up = threading.Thread(target=_hang_up, args=(listener,))
        hang_up.start()
        with pytest.raises(BenchError):
            asyncio.run(drive(Endpoint(url), ["base"], load, "any", lambda: None))
        hang_up.join()


def _hang_up(listener: socket.socket) -> None:
    for _ in range(2):
        listener.accept()[0].close()


def test_percentiles_are_values_that_occurred() -> None:
    spread = Percentiles.of([index / 1000 for index in range(1, 201)])
    assert (spread.p50, spread.p99) == (pytest.approx(100.0), pytest.approx(198.0))
    assert Percentiles.of([0.5]) == Percentiles(500.0, 500.0)
