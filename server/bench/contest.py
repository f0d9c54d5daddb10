"""Polydelta beside its peers: the same base, the same LoRAs, the same loads."""

import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from server.bench.comparison import OURS, Compared, Comparison
from server.bench.endpoint import EncoderEndpoint, Endpoint
from server.bench.errors import BenchError
from server.bench.measures import Measure
from server.bench.mix import Form
from server.bench.peers.environment import Environment
from server.bench.peers.peer import Peer, Setup
from server.bench.prepare import prepare
from server.bench.side import Served, Side
from server.bench.subject import Subject
from server.bench.tasks import registered
from server.bench.traffic import Traffic
from server.bench.trial import Trial
from server.bench.turns import Course


class Contest:
    """All sides, ready to be measured."""

    def __init__(self, setup: Setup, sides: Sequence[Side], course: Course, base: str) -> None:
        self._setup = setup
        self._sides = sides
        self._course = course
        self._base = base

    def requests(self, measures: Sequence[Measure]) -> int:
        """How many requests will be made."""
        runs = sum(2 if side.mixes else 1 for side in self._sides)
        requests = sum(measure.load.requests for measure in measures)
        return runs * requests * self._course.runs

    def run(
        self,
        measures: Sequence[Measure],
        done: Callable[[], object],
        say: Callable[[str], object],
    ) -> Comparison:
        """Measure every side in turn; `done` follows each request, `say` hears what is given up."""
        compared: list[Compared] = []
        for measure in measures:
            traffic = Traffic(list(self._setup.deltas)[: measure.tasks])
            turns = Trial(measure, traffic, self._course, done, say).run(self._sides)
            compared += Compared.each(measure, turns, self._course.busy)
        return Comparison(
            base=self._base,
            dtype=self._setup.dtype,
            deltas=self._setup.described,
            repeat=self._course.repeat,
            measures=tuple(compared),
            quota=self._setup.quota,
        )


@contextmanager
def contest(
    subject: Subject,
    peers: Sequence[tuple[Peer, Environment]],
    measures: Sequence[Measure],
    form: Form,
    course: Course,
    say: Callable[[str], object],
) -> Generator[Contest]:
    """Write the deltas, start every side and give them all the same.

    Raises BenchError if a side does not start, or if no peer serves a base of this kind.
    """
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        say("Writing the deltas …")
        setup = prepare(subject, measures, form, Path(scratch))
        fitting = _fitting(peers, setup, say)
        say(f"Starting {OURS} with {subject.base} …")
        own = subject.serve(len(setup.deltas), dtype=setup.dtype, device="cpu")
        url = stack.enter_context(own)
        stack.enter_context(registered(url, setup.deltas))
        endpoint = EncoderEndpoint(url) if setup.encodes else Endpoint(url)
        sides: list[Side] = [Served(OURS, endpoint)]
        for peer, environment in fitting:
            say(f"Starting {peer.name} …")
            sides.append(stack.enter_context(peer.open(environment, setup)))
        yield Contest(setup, sides, course, subject.base)


def _fitting(
    peers: Sequence[tuple[Peer, Environment]], setup: Setup, say: Callable[[str], object]
) -> list[tuple[Peer, Environment]]:
    for peer, _ in peers:
        if peer.encodes is not setup.encodes:
            say(f"{peer.name} is left out: it serves {_kind(peer.encodes)}.")
    fitting = [pair for pair in peers if pair[0].encodes is setup.encodes]
    if not fitting:
        raise BenchError(f"No peer named serves {_kind(setup.encodes)}; name another with --peer.")
    return fitting


def _kind(encodes: bool) -> str:
    return "encoders" if encodes else "decoders"
