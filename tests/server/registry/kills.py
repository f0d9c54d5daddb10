"""Kill a process that changes tasks, again and again, and hold what it leaves to what it promised.

    python -m tests.server.registry.kills ROOT ROUNDS SEED LIVING [URL]

Each round forks a process that opens the registry and changes it until it is killed: at a named
point, or some time after it told some lines. What it was told had happened must have, what it was
at must have happened or not, and nothing else may be in the store. With a URL, its database is the
registry.
"""

import os
import pkgutil
import signal
import sys
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any, NoReturn

from deltas.base import BaseSpec, describe
from server.registry.catalogue.opening import open_database
from server.registry.names import shared
from server.registry.registry import Registry
from server.registry.retention import Retention
from server.registry.store import Store
from tests.models import tiny_model
from tests.server.registry.known import KEPT, Known
from tests.server.registry.neighbour import NAME as NEIGHBOUR
from tests.server.registry.neighbour import Neighbour
from tests.server.registry.prompts import number_of, write_prompt

POINTS = (
    ("server.registry.staging:Staging", "write"),
    ("os", "fsync"),
    ("pathlib:Path", "rename"),
    ("server.registry.checker:Checker", "read"),
    ("server.registry.catalogue.catalogue:Catalogue", "change"),
    ("server.registry.catalogue.catalogue:Catalogue", "_write"),
    ("server.registry.rollout:Rollout", "serve"),
    ("server.registry.store:Store", "sweep"),
    ("shutil", "rmtree"),
    ("fcntl", "flock"),
)
NAMES = ("a", "b", "c")
DELTAS = 5
LINES = 12
Tasks = dict[str, Known]
Step = tuple[str, str, int]


@dataclass(frozen=True)
class Place:
    root: Path
    base: BaseSpec
    url: str | None

    def open(self) -> Registry:
        retention = Retention(versions=KEPT, removed_hours=0)
        store = Store(self.root / "store")
        database = open_database(self.url, store.root)
        return Registry(store, self.base, retention=retention, database=database)


def known_after(tasks: Tasks, step: Step) -> Tasks:
    """What tasks ought to be once a step was done."""
    tasks = deepcopy(tasks)
    what, name, number = step
    if what == "put":
        tasks.setdefault(name, Known()).put(number)
    elif what == "remove":
        tasks.pop(name, None)
    elif name in tasks and what == "activate":
        tasks[name].activate(chosen(tasks, step))
    elif name in tasks:
        tasks[name].share(shares_of(tasks, step))
    return tasks


def chosen(tasks: Tasks, step: Step) -> int:
    """The version that a step means."""
    numbers = sorted(tasks[step[1]].versions)
    return numbers[step[2] % len(numbers)]


def shares_of(tasks: Tasks, step: Step) -> dict[int, int]:
    """What a step gives that version, and what the oldest."""
    return {min(tasks[step[1]].versions): 90, chosen(tasks, step): 10}


def do(registry: Registry, sources: list[Path], tasks: Tasks, step: Step) -> None:
    what, name, number = step
    if what == "put":
        registry.put(shared(name), sources[number])
    elif name in tasks:
        if what == "remove":
            registry.remove(shared(name))
        elif what == "activate":
            registry.versions.activate(shared(name), chosen(tasks, step))
        else:
            shares = shares_of(tasks, step)
            registry.sharing.share(
                shared(name), {f"{number}": each for number, each in shares.items()}
            )


def die_at(place: str, name: str, count: int) -> None:
    """Have this process killed when something is called for the so many-th time."""
    owner = pkgutil.resolve_name(place)
    real: Callable[..., Any] = getattr(owner, name)
    calls: list[int] = []

    def counted(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)

    setattr(owner, name, counted)


def change(place: Place, sources: list[Path], tasks: Tasks, random: Random, log: int) -> NoReturn:
    """Change tasks until something kills this process; tell each step before and after it."""
    if random.random() < 0.5:
        die_at(*random.choice(POINTS), random.randint(1, 12))
    registry = place.open()
    while True:
        what = random.choice(("put", "put", "activate", "share", "remove"))
        step = (what, random.choice(NAMES), random.randrange(DELTAS))
        os.write(log, f"begin {step!r}\n".encode())
        do(registry, sources, tasks, step)
        os.write(log, f"done {step!r}\n".encode())
        tasks = known_after(tasks, step)


State = dict[str, tuple[int | None, dict[int, int], dict[int, int]]]
"""Of each task the active version, which delta each version is, and the shares."""


def state(registry: Registry) -> State:
    """What a registry says that there is; reads every version."""
    found: State = {}
    for task in registry.all():
        held = {version.number: number_of(registry.load(version.ref)) for version in task.versions}
        traffic = registry.versions.of(shared(task.name)).traffic
        found[task.name] = (task.active.number, held, dict(traffic.shares) if traffic else {})
    return found


def expected(tasks: Tasks) -> State:
    return {name: (known.active, known.versions, known.shares) for name, known in tasks.items()}


def judge(place: Place, tasks: Tasks, log: bytes, living: int) -> Tasks:
    """Follow what a process told, and return what there is now, which must be what it promised.

    So many other servers of the store live.
    """
    pending: Step | None = None
    for line in log.decode().splitlines():
        word, _, told = line.partition(" ")
        step: Step = eval(told)
        if word == "begin":
            pending = step
        else:
            tasks, pending = known_after(tasks, step), None
    registry = place.open()
    registry.settle()
    now = state(registry)
    now.pop(NEIGHBOUR, None)
    if pending is not None and now != expected(tasks):
        tasks = known_after(tasks, pending)
    assert now == expected(tasks), f"{now} instead of {expected(tasks)}, at {pending}"
    digests = {version.ref.digest for task in registry.all() for version in task.versions}
    assert {path.name for path in (place.root / "store" / "blobs").iterdir()} == digests
    registry.close()
    assert len(list((place.root / "store").glob("run-*"))) == living
    return tasks


def main(root: Path, rounds: int, seed: int, living: int, url: str | None = None) -> None:
    random = Random(seed)
    base = describe(tiny_model("llama"), "tiny")
    place = Place(root, base, url)
    sources = [write_prompt(root / str(number), base, number) for number in range(DELTAS)]
    neighbours = [Neighbour(place.open, sources) for _ in range(living)]
    tasks: Tasks = {}
    steps = 0
    for _ in range(rounds):
        for neighbour in neighbours:
            neighbour.wake()
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            change(place, sources, tasks, Random(random.random()), writing)
        os.close(writing)
        with open(reading, "rb") as log:  # noqa: PTH123
            # However slow it is, so much of it is done; one that dies by itself tells no more.
            told = b"".join(islice(log, random.randrange(LINES)))
            time.sleep(random.uniform(0.0, 0.1))
            os.kill(child, signal.SIGKILL)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
            told += log.read()
        steps += told.count(b"done")
        for neighbour in neighbours:
            neighbour.rest()
        tasks = judge(place, tasks, told, living)
    for neighbour in neighbours:
        neighbour.end()
    sys.stdout.write(f"{rounds} kills, {steps} changes told\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), *sys.argv[5:])
