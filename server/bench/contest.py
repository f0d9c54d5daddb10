"""A comparison as it runs: every side in turn, each alone while the others wait."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace

from server.bench.comparison import Turn, Turns
from server.bench.measures import Measure
from server.bench.peers.environment import Environment
from server.bench.peers.peer import Peer, Setup
from server.bench.side import BASE, Side


def run_measure(
    sides: Sequence[Side],
    measure: Measure,
    deltas: Sequence[str],
    repeat: int,
    done: Callable[[], object],
) -> Turns:
    """Run a measure `repeat` times on all sides in turn; `done` follows each request.

    A short run of each comes first and does not count: it loads every delta and fills every stream.
    """
    names = deltas[: measure.tasks]
    for side in sides:
        _warm(side, measure, names)
    turns: dict[str, list[Turn]] = {side.name: [] for side in sides}
    for turn in range(repeat):
        for side in sides:
            turns[side.name].append(_turn(side, measure, names, turn, done))
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


def _warm(side: Side, measure: Measure, names: Sequence[str]) -> None:
    tokens = min(2, measure.load.output_tokens)
    for models in (BASE,), tuple(names if side.mixes else ()):
        if models:
            requests = max(len(models), measure.load.concurrency)
            load = replace(measure.load, requests=requests, output_tokens=tokens)
            side.run(models, load, f"{measure.name} warm {models[0]}", lambda: None)


def _turn(
    side: Side, measure: Measure, names: Sequence[str], turn: int, done: Callable[[], object]
) -> Turn:
    # The same prompts for every side, and never twice for one: some sides cache them.
    load, seed = measure.load, f"{measure.name} {turn}"
    base = side.run([BASE], load, f"{seed} base", done)
    mixed = side.run(names, load, f"{seed} mixed", done) if side.mixes else None
    return Turn(base, mixed)
