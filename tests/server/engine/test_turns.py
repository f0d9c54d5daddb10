"""Turns of tenants: rows are served by weight while several wait, and nobody saves any up."""

from collections import Counter
from dataclasses import replace
from itertools import count
from pathlib import Path

from hypothesis import given, settings
from hypothesis.strategies import integers, lists, sampled_from

from server.engine.request import Call, Request
from server.engine.scheduler import Scheduler
from server.engine.sequence import Sequence
from server.engine.turns import Turns
from server.model.sampling import Sampling
from server.registry.catalogue.sqlite import Sqlite
from server.registry.catalogue.tenants import Tenants
from server.registry.layout import DATABASE
from tests.server.engine.engines import ask, serving, tiny_base, tiny_engine, tiny_limits
from tests.server.engine.pacing import together
from tests.server.engine.scheduling import TASKS, Everywhere, of_party, sequence

WEIGHTS = {"light": 1, "heavy": 3, "silent": 2}
LONGEST = 40


class Load:
    """Sequences of tenants, each a prompt and then a token a step, and the rows they were served.

    `prompts` and `lengths` are drawn from in turns, so that no two tenants ask for the same.
    """

    def __init__(self, places: int, prompts: list[int], lengths: list[int]) -> None:
        turns = Turns(lambda tenant: WEIGHTS.get(tenant, 1))
        self.scheduler = Scheduler(Everywhere(), None, 1000, places, turns=turns)
        self.rows: Counter[str] = Counter()
        self._numbers = count()
        self._prompts, self._lengths = prompts, lengths
        self._left: dict[Sequence, int] = {}

    def add(self, tenant: str) -> None:
        number = next(self._numbers)
        prompt = self._prompts[number % len(self._prompts)]
        one = sequence(number, "base", 1, 1)
        one.tokens = [9] * prompt
        one.tenant = one.caller = tenant
        self._left[one] = self._lengths[number % len(self._lengths)]
        self.scheduler.add(one)

    def step(self) -> None:
        for scheduled in self.scheduler.schedule():
            one = scheduled.sequence
            self.rows[one.tenant] += scheduled.rows
            one.computed += scheduled.rows
            one.tokens.append(9)
            self._left[one] -= 1
            if not self._left[one]:
                self.scheduler.end(one)

    def keep_waiting(self, *tenants: str) -> None:
        """Have each of them wait for more than there are places."""
        waiting = Counter(each.tenant for each in self.scheduler.waiting)
        for tenant in tenants:
            for _ in range(30 - waiting[tenant]):
                self.add(tenant)


SIZES = lists(integers(1, LONGEST), min_size=1, max_size=7)


@settings(deadline=None, max_examples=25)
@given(places=sampled_from([1, 2, 4, 16]), prompts=SIZES, lengths=SIZES)
def test_rows_are_shared_by_weight_while_both_wait(
    places: int, prompts: list[int], lengths: list[int]
) -> None:
    load = Load(places, prompts, lengths)
    for _ in range(400):
        load.keep_waiting("light", "heavy")
        load.step()
    # What each may be ahead by is what runs at once, however long it goes on.
    ahead = places * 2 * LONGEST
    assert abs(load.rows["light"] - load.rows["heavy"] / 3) <= 2 * ahead


def test_equal_sizes_are_served_one_to_three() -> None:
    load = Load(4, [10], [10])
    for _ in range(4000):
        load.keep_waiting("light", "heavy")
        load.step()
    assert 2.9 < load.rows["heavy"] / load.rows["light"] < 3.1


def test_a_tenant_with_many_rows_holds_up_nobody_else() -> None:
    load = Load(1, [1], [1])
    for _ in range(1000):
        load.add("light")
    for _ in range(10):
        load.step()
    load.add("other")
    load.add("other")
    for _ in range(4):
        load.step()
    assert load.rows["other"] == 2


def test_a_pause_saves_nothing_up() -> None:
    load = Load(1, [1], [1])
    load.add("heavy")
    for _ in range(300):
        load.keep_waiting("light")
        load.step()
    served = load.rows["heavy"]
    for _ in range(40):
        load.keep_waiting("light", "heavy")
        load.step()
    assert 25 <= load.rows["heavy"] - served <= 32


def test_tasks_take_turns_within_their_tenant() -> None:
    scheduler = Scheduler(Everywhere(), None, 1000, 4)
    for number in range(20):
        for tenant, task in (("a", TASKS[2]), ("a", TASKS[3]), ("b", TASKS[2])):
            one = of_party(number, task, "caller")
            one.tenant = tenant
            scheduler.add(one)
    scheduler.schedule()
    places = Counter((one.tenant, one.version.ref.task) for one in scheduler.running)
    assert places == {("a", TASKS[2]): 1, ("a", TASKS[3]): 1, ("b", TASKS[2]): 2}


async def test_an_engine_knows_what_weight_was_set(tmp_path: Path) -> None:
    engine = tiny_engine(tiny_base("llama"), {}, tmp_path, tiny_limits(max_sequences=1))
    database = Sqlite(tmp_path / DATABASE)
    Tenants(database).change("heavy", lambda tenant: replace(tenant, weight=3))
    database.close()
    engine.registry.look()
    answered: list[str] = []

    async def one(number: int, tenant: str) -> None:
        call = Call(tenant, tenant=tenant)
        sampling = Sampling(max_tokens=8, ignore_eos=True)
        await ask(engine, Request(f"{tenant}-{number}", "base", (7, 8), sampling, call=call))
        answered.append(tenant)

    async with serving(engine):
        asked = (one(number, tenant) for number in range(40) for tenant in ("light", "heavy"))
        await together(engine, *asked)
    # The first begins before all have come, and at the end the heavy one has none left.
    assert 13 <= answered[10:30].count("heavy") <= 17
