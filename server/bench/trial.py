"""A measure as it runs: every side in turn, each alone while the others wait."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from server.bench.errors import GivenUp
from server.bench.load import Load, Run
from server.bench.measures import Measure
from server.bench.neighbours import neighbours
from server.bench.side import BASE, Side
from server.bench.traffic import Traffic
from server.bench.turns import Course, Turn, Turns


@dataclass(frozen=True)
class Trial:
    """A measure on all sides; `done` follows each request, `say` hears what is given up."""

    measure: Measure
    traffic: Traffic
    course: Course
    done: Callable[[], object]
    say: Callable[[str], object]

    def run(self, sides: Sequence[Side]) -> Turns:
        """Run the measure on all sides in turn.

        First every side's streams are filled once on its base and once mixed, with prompts and
        answers of full length, which do not count: what is made at first use is there afterwards.
        """
        for side in sides:
            self._fill(side, "base", "warm-up, base")
            if side.mixes:
                self._fill(side, "mixed", "warm-up, mixed")
        turns: dict[str, list[Turn]] = {side.name: [] for side in sides}
        for turn in range(self.course.repeat):
            for side in sides:
                turns[side.name].append(self._turn(side, turn))
        return turns

    def _turn(self, side: Side, turn: int) -> Turn:
        quiet: dict[str, Run | None] = {}
        beside: dict[str, Run | None] = {}
        for name in self._order(side, turn):
            title, number = f"turn {turn + 1}, {name}", turn * self.course.passes
            if name == "mixed" and self.traffic.many and turn:
                # A spread before has pushed the few out.
                self._fill(side, name, f"{title}, brought back", tokens=2)
            quiet[name] = self._run(side, name, title, number)
            if busy := self.course.busy:
                with neighbours(busy):
                    beside[name] = self._run(side, name, f"{title}, beside {busy}", number + 1)
        return Turn.of(quiet, Turn.of(beside) if beside else None)

    def _order(self, side: Side, turn: int) -> list[str]:
        names = ["base"]
        names += ["mixed"] if side.mixes else []
        names += ["spread"] if self.traffic.many else []
        # What drifts meanwhile favours each of them in turn.
        return names[::-1] if turn % 2 else names

    def _fill(self, side: Side, name: str, title: str, tokens: int | None = None) -> None:
        load, models = self.measure.load, [BASE] if name == "base" else self.traffic.few
        tokens = min(tokens or load.output_tokens, load.output_tokens)
        load = replace(load, requests=max(len(models), load.concurrency), output_tokens=tokens)
        self._attempt(side, models, load, title, lambda: None)

    def _run(self, side: Side, name: str, title: str, number: int) -> Run | None:
        return self._attempt(side, self._models(name, number), self.measure.load, title, self.done)

    def _models(self, name: str, number: int) -> list[str]:
        requests = self.measure.load.requests
        if name == "base":
            return [BASE]
        if name == "mixed":
            return self.traffic.mixed(requests)
        return self.traffic.spread(requests, number)

    def _attempt(
        self,
        side: Side,
        models: Sequence[str],
        load: Load,
        title: str,
        done: Callable[[], object],
    ) -> Run | None:
        if side.ended:
            return None
        # The same prompts for every side, and never twice for one: some sides cache them.
        seed = f"{self.measure.name}, {title}"
        try:
            return side.run(models, load, seed, done)
        except GivenUp as given_up:
            self.say(f"{side.name}, {seed}: {given_up}")
            return None
