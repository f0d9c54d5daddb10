"""Turns as they are made: on real servers and a side that never answers."""

import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from server.bench.comparison import OURS, Compared
from server.bench.endpoint import Endpoint
from server.bench.load import Load, Run
from server.bench.measures import Measure
from server.bench.side import Served, Side
from server.bench.traffic import Traffic
from server.bench.trial import Trial
from server.bench.turns import Course
from tests.server.bench.turns import run
from tests.server.served import served, url_of

LOAD = Load(concurrency=2, requests=4, input_tokens=8, output_tokens=6)


class Noted(Side):
    """Answers at once and notes what it is asked."""

    def __init__(self, *, mixes: bool = True) -> None:
        super().__init__(OURS, mixes=mixes)
        self.asked: list[tuple[tuple[str, ...], Load, str]] = []

    def run(self, models: Sequence[str], load: Load, seed: str, done: Callable[[], object]) -> Run:
        self.asked.append((tuple(models), load, seed))
        return run(1.0)

    @property
    def titles(self) -> list[str]:
        return [seed.split(", ", 1)[1] for _, _, seed in self.asked]


class Hasty(Served):
    """Given up after a second."""

    def run(self, models: Sequence[str], load: Load, seed: str, done: Callable[[], object]) -> Run:
        return super().run(models, replace(load, seconds=1.0), seed, done)


def ignore(*_: object) -> None:
    pass


def trial(course: Course, many: Sequence[str] = ()) -> Trial:
    traffic = Traffic(["a", "b", "c"], many)
    return Trial(Measure("decode", LOAD, 3), traffic, course, ignore, ignore)


def test_base_and_mixed_come_first_in_turn_after_a_warm_up_of_full_length() -> None:
    side = Noted()
    turns = trial(Course(2)).run([side])[OURS]
    assert side.titles == [
        *("warm-up, base", "warm-up, mixed"),
        *("turn 1, base", "turn 1, mixed", "turn 2, mixed", "turn 2, base"),
    ]
    warm = [load for _, load, _ in side.asked[:2]]
    assert [load.requests for load in warm] == [2, 3]
    assert [load.output_tokens for load in warm] == [6, 6]
    assert [len(models) for models, _, _ in side.asked[2:]] == [1, 4, 4, 1]
    assert all(turn.beside is None for turn in turns)


def test_every_run_is_made_again_beside_with_other_prompts_and_other_tasks() -> None:
    side = Noted()
    turns = trial(Course(2, busy=1), many=[*"abcdefgh"]).run([side])[OURS]
    assert [title for title in side.titles if "warm" not in title and "back" not in title] == [
        *("turn 1, base", "turn 1, base, beside 1", "turn 1, mixed", "turn 1, mixed, beside 1"),
        *("turn 1, spread", "turn 1, spread, beside 1"),
        *("turn 2, spread", "turn 2, spread, beside 1"),
        *("turn 2, mixed", "turn 2, mixed, beside 1", "turn 2, base", "turn 2, base, beside 1"),
    ]
    assert len(set(side.titles)) == len(side.titles)
    spread = [models for models, _, seed in side.asked if "spread" in seed]
    assert ["".join(models) for models in spread] == ["abcd", "efgh", "abcd", "efgh"]
    # The few are brought back to their slots after a spread, and not otherwise.
    assert (
        side.titles.index("turn 2, mixed") == side.titles.index("turn 2, mixed, brought back") + 1
    )
    assert sum("back" in title for title in side.titles) == 1
    assert all(turn.beside and turn.beside.spread for turn in turns)


def test_a_side_that_does_not_answer_is_given_up_and_the_others_go_on(
    decoder: Path, tmp_path: Path
) -> None:
    with (
        served(decoder, tmp_path, drain_timeout=0) as (_, http),
        socket.create_server(("127.0.0.1", 0)) as silent,
    ):
        port = silent.getsockname()[1]
        sides = [
            Served(OURS, Endpoint(url_of(http)), mixes=False),
            Hasty("silent", Endpoint(f"http://127.0.0.1:{port}"), mixes=False),
        ]
        # Whoever does answer has all the time that it may need here.
        measure = Measure("decode", LOAD, 1)
        said: list[str] = []
        turns = Trial(measure, Traffic([]), Course(1, busy=1), ignore, said.append).run(sides)
    assert said == [
        "silent, decode, warm-up, base: given up after 1 seconds.",
        "silent, decode, turn 1, base: given up after 1 seconds.",
        "silent, decode, turn 1, base, beside 1: given up after 1 seconds.",
    ]
    for compared in Compared.each(measure, turns, 1):
        assert compared.sides["silent"].base is None
        assert compared.sides["silent"].given_up == {"base": 1}
        assert compared.ratios["silent"].base is None
        ours = compared.sides[OURS].base
        assert ours is not None
        assert ours.throughput > 0
    (turn,) = turns[OURS]
    assert turn.beside is not None
    assert turn.beside.base is not None
