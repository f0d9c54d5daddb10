"""Garbage: what no task needs, removed from a store beside running servers or without any."""

import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from server.errors import InvalidSettings, RegistryUnavailable
from server.registry.audit import OPERATOR, Act
from server.registry.catalogue.catalogue import Catalogue
from server.registry.catalogue.faults import faults
from server.registry.catalogue.opening import require_named
from server.registry.layout import BLOBS, DAMAGED, DATABASE
from server.registry.retention import Retention
from server.registry.run import ended
from server.registry.store import Store, size_of
from server.registry.task import Task, digests_of
from server.registry.upkeep.blobs import is_free, places_of
from server.registry.upkeep.contents import Contents
from server.registry.upkeep.opening import opened
from server.registry.upkeep.snapshot import snapshot


@dataclass(frozen=True, slots=True)
class Freed:
    """What was removed: tasks that lost versions, blobs, what servers left, and bytes in all."""

    tasks: int
    blobs: int
    leftovers: int
    bytes: int


def collect(
    root: Path,
    rules: Retention | None = None,
    *,
    pretend: bool = False,
    url: str | None = None,
) -> Freed:
    """Remove what no task needs, and versions that the rules do not keep, if there are any.

    To pretend is to tell of it alone. With a URL the registry is there, in PostgreSQL. Raises
    InvalidSettings where there is no store, or it is of another registry, RegistryUnavailable where
    its database is damaged, or one that was is kept.
    """
    _require_sound(root, url)
    with snapshot(root, url) as connection:
        contents = Contents.of(connection)
    now = time.time()
    fewer = 0
    needed = set(contents.digests)
    for task in contents.all():
        kept = task if rules is None else rules.kept(task, now)
        fewer += kept != task
        needed -= digests_of(task) - digests_of(kept)
    # Two tasks may have the same files.
    left = (task if rules is None else rules.kept(task, now) for task in contents.all())
    needed |= digests_of(*left)
    places = places_of(root)
    over = {digest: size_of(places[digest]) for digest in places.keys() - needed}
    over = {digest: size for digest, size in over.items() if is_free(places[digest])}
    runs = {run: _size(run) for run in ended(root)}
    if not pretend:
        _remove(root, url, contents.tasks, rules)
        over = {digest: size for digest, size in over.items() if not places[digest].exists()}
    return Freed(fewer, len(over), len(runs), sum(over.values()) + sum(runs.values()))


def _require_sound(root: Path, url: str | None) -> None:
    require_named(url, root)
    if not (root / BLOBS).is_dir():
        raise InvalidSettings(f"{root} is no store: it has no {BLOBS}. Name another (--store).")
    if url is not None:
        return
    if not (root / DATABASE).exists():
        raise InvalidSettings(
            f"{root} has no {DATABASE} beside its {BLOBS}: nothing tells what is needed. Name "
            "another --store, or restore a back-up."
        )
    if faults(root / DATABASE) or any(root.glob(f"{DAMAGED}*.sqlite3")):
        raise RegistryUnavailable(
            "The registry's database is damaged, or one that was is kept, and so is every blob: "
            "polydelta store check says what to do."
        )


def _remove(root: Path, url: str | None, bases: Iterable[str], rules: Retention | None) -> None:
    # Opening the store removes what servers left that ended.
    with opened(root, url) as database, closing(Store(root)) as store:
        database.claim()
        for base in bases if rules is not None else ():
            _keep_to(rules or Retention(), Catalogue(database, base))
        store.sweep(store.digests(), Catalogue(database, "").needed)


def _keep_to(rules: Retention, catalogue: Catalogue) -> None:
    for task in catalogue.tasks():
        if rules.kept(task, time.time()) != task:
            catalogue.change(task.name, Act("retire", OPERATOR), partial(_kept, rules))


def _kept(rules: Retention, task: Task) -> Task:
    return rules.kept(task, time.time())


def _size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
