"""Another tenant's task is as if it were not there: in words, and in the work that it makes."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from deltas.base import BaseSpec
from server.errors import TaskNotFound
from server.registry.names import TaskName
from server.registry.namespace import Namespace
from server.registry.registry import Registry
from server.registry.store import Store
from tests.steps import steps_of

Ask = Callable[[Namespace, str], Any]

ASKED: dict[str, Ask] = {
    "get": lambda seen, name: seen.get(name),
    "version": lambda seen, name: seen.version(name),
    "a version": lambda seen, name: seen.version(f"{name}@1"),
    "card": lambda seen, name: seen.card(name),
    "versions": lambda seen, name: seen.versions(name),
    "activate": lambda seen, name: seen.activate(name, 1),
    "alias": lambda seen, name: seen.alias(name, "champion", 1),
    "unalias": lambda seen, name: seen.alias(name, "champion", None),
    "share": lambda seen, name: seen.share(name, {"1": 1}),
    "unshare": lambda seen, name: seen.unshare(name),
    "remove": lambda seen, name: seen.remove(name),
    "remove forever": lambda seen, name: seen.remove(name, forever=True),
}


@pytest.mark.parametrize("what", ASKED)
def test_what_is_not_there_and_what_is_not_yours_are_told_apart_by_nothing(
    what: str, base: BaseSpec, delta: Callable[[int], Path], tmp_path: Path
) -> None:
    told: list[tuple[str, int]] = []
    for there in ("private", "another"):
        with closing(Registry(Store(tmp_path / there), base)) as registry:
            registry.put(TaskName("ours", there), delta(1))
            seen = Namespace(registry, "theirs", "their-key")

            def ask(seen: Namespace = seen) -> str:
                with pytest.raises(TaskNotFound) as refusal:
                    ASKED[what](seen, "private")
                return str(refusal.value)

            text = ask()
            told.append((text, steps_of(ask)))
    assert told[0] == told[1]


def test_so_it_is_with_a_look_at_what_other_servers_put(
    base: BaseSpec, delta: Callable[[int], Path], tmp_path: Path
) -> None:
    steps: list[int] = []
    for there in ("private", "another"):
        with closing(Registry(Store(tmp_path / there), base)) as registry:
            registry.put(TaskName("ours", there), delta(1))
            assert not registry.seek(TaskName("theirs", "private"))
            steps.append(steps_of(lambda r=registry: r.seek(TaskName("theirs", "private"))))
    assert steps[0] == steps[1]
