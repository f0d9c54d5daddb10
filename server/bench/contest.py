"""A comparison as it runs: every side in turn, each alone while the others wait."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace

from server.bench.comparison import Turns
from server.bench.measures import Measure
from server.bench.peers.environment import Environment
from server.bench.peers.peer import Peer, Setup
from server.bench.side import BASE, Side
from server.bench.traffic import Traffic
from server.bench.turns import Turn


def run_measure(
    sides: Sequence[Side],
    measure: Measure,
    traffic: Traffic,
    repeat: int,
    done: Callable[[], object],
) -> Turns:
    """Run a measure `repeat` times on all sides in turn; `done` follows each request.

    A short run of each comes first and does not count: it loads every delta of the few and fills
    every stream.
    """
    for side in sides:
        _warm(side, measure, [BASE], "base")
        if side.mixes:
            _warm(side, measure, traffic.few, "mixed")
    turns: dict[str, list[Turn]] = {side.name: [] for side in sides}
    for turn in range(repeat):
        for side in sides:
            turns[side.name].append(_turn(side, measure, traffic, turn, done))
    return turns


def open_peers(
    stack: ExitStack,
    peers: Sequence[tuple[Peer, Environment]],
    setup: Setup,
    say: Callable[[str], object],
) -> list[Side]:
    """Start peers one after another; they end with the stack."""
    sides: list[Side] = []
    for peer, environment in peers:
        say(f"Starting {peer.name} …")
        sides.append(stack.enter_context(peer.open(environment, setup)))
    return sides


def _warm(side: Side, measure: Measure, models: Sequence[str], seed: str) -> None:
    load = replace(
        measure.load,
        requests=max(len(models), measure.load.concurrency),
        output_tokens=min(2, measure.load.output_tokens),
    )
    side.run(models, load, f"{measure.name} warm {seed}", lambda: None)


def _turn(
    side: Side, measure: Measure, traffic: Traffic, turn: int, done: Callable[[], object]
) -> Turn:
    # The same prompts for every side, and never twice for one: some sides cache them.
    load, seed = measure.load, f"{measure.name} {turn}"
    base = side.run([BASE], load, f"{seed} base", done)
    if not side.mixes:
        return Turn(base, None)
    if turn and traffic.many:
        # The turn before has pushed the few out.
        _warm(side, measure, traffic.few, seed)
    mixed = side.run(traffic.mixed(load.requests), load, f"{seed} mixed", done)
    if not traffic.many:
        return Turn(base, mixed)
    models = traffic.spread(load.requests, turn)
    return Turn(base, mixed, side.run(models, load, f"{seed} spread", done))
