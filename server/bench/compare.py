"""Polydelta beside its peers: the same base, the same LoRAs, the same loads."""

import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from server.bench.comparison import OURS, Compared, Comparison
from server.bench.contest import open_peers, run_measure
from server.bench.endpoint import Endpoint
from server.bench.measures import Measure
from server.bench.peers.environment import Environment
from server.bench.peers.peer import Peer, Setup
from server.bench.side import Served, Side
from server.bench.subject import Subject
from server.bench.tasks import registered


@dataclass(frozen=True)
class Form:
    """What is compared: LoRAs on `every` projection or on attention's, their rank, the turns."""

    every: bool
    rank: int
    repeat: int


class Contest:
    """All sides, ready to be measured."""

    def __init__(self, setup: Setup, sides: Sequence[Side], form: Form, base: str) -> None:
        self._setup = setup
        self._sides = sides
        self._form = form
        self._base = base

    def requests(self, measures: Sequence[Measure]) -> int:
        """How many requests will be made."""
        runs = sum(2 if side.mixes else 1 for side in self._sides) * self._form.repeat
        return runs * sum(measure.load.requests for measure in measures)

    def run(self, measures: Sequence[Measure], done: Callable[[], object]) -> Comparison:
        """Measure every side in turn; `done` follows each request."""
        deltas, repeat = list(self._setup.deltas), self._form.repeat
        return Comparison(
            base=self._base,
            dtype=self._setup.dtype,
            targets=self._setup.targets,
            rank=self._form.rank,
            repeat=repeat,
            measures=tuple(
                Compared.of(measure, run_measure(self._sides, measure, deltas, repeat, done))
                for measure in measures
            ),
        )


@contextmanager
def contest(
    subject: Subject,
    peers: Sequence[tuple[Peer, Environment]],
    measures: Sequence[Measure],
    form: Form,
    say: Callable[[str], object],
) -> Generator[Contest]:
    """Write the LoRAs, start every side and give them all the same."""
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        say("Writing the LoRAs …")
        setup = _setup(subject, measures, form, Path(scratch))
        say(f"Starting {OURS} with {subject.base} …")
        url = stack.enter_context(subject.serve(len(setup.deltas), dtype=setup.dtype, device="cpu"))
        stack.enter_context(registered(url, setup.deltas))
        ours = Served(OURS, Endpoint(url))
        sides = [ours, *open_peers(stack, peers, setup, say)]
        yield Contest(setup, sides, form, subject.base)


def _setup(subject: Subject, measures: Sequence[Measure], form: Form, scratch: Path) -> Setup:
    # Only comparisons and synthetic deltas need Torch.
    from server.bench.lora import lora_targets, write_loras
    from server.build import open_base
    from server.model.source import resolve_base
    from server.settings import Settings

    # The peers run on the processor.
    settings = Settings.gather(base=subject.base, device="cpu", **subject.settings)
    base = open_base(settings)
    targets = lora_targets(base.spec, every=form.every)
    count = max(measure.tasks for measure in measures)
    loads = [measure.load for measure in measures]
    return Setup(
        base=resolve_base(subject.base, settings.cache).directory,
        dtype=str(base.dtype).removeprefix("torch."),
        deltas=write_loras(base.spec, targets, form.rank, count, scratch / "deltas"),
        targets=targets,
        rank=form.rank,
        streams=max(load.concurrency for load in loads),
        length=max(load.input_tokens + load.output_tokens for load in loads),
        scratch=scratch,
    )
