"""A store on a disk that may only be read: a start is refused, what is loaded is served on."""

import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from deltas.base import BaseSpec
from server.errors import InsufficientStorage
from server.registry.names import shared
from server.registry.registry import Registry
from server.registry.store import Store
from tests.disks import read_only
from tests.server.registry.prompts import number_of, write_prompt

SPAM = shared("spam")


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that everybody may enter."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)


def test_a_server_does_not_start_and_says_which_directory(base: BaseSpec, place: Path) -> None:
    root = place / "store"
    with closing(Registry(Store(root), base)) as registry:
        registry.put(SPAM, write_prompt(place / "delta", base, 1))
    before = sorted(root.rglob("*"))
    with read_only(root), pytest.raises(InsufficientStorage) as refused:
        Store(root)
    assert str(root) in str(refused.value)
    assert "--store" in str(refused.value)
    assert sorted(root.rglob("*")) == before
    with closing(Registry(Store(root), base)) as registry:
        assert number_of(registry.load(registry.get(SPAM).active.ref)) == 1


def test_a_running_server_takes_nothing_loses_nothing_and_answers(
    base: BaseSpec, place: Path
) -> None:
    root = place / "store"
    deltas = {number: write_prompt(place / str(number), base, number) for number in (1, 2)}
    with closing(Registry(Store(root), base)) as registry:
        registry.put(SPAM, deltas[1])
        with read_only(root):
            with pytest.raises(InsufficientStorage, match="have an operator"):
                registry.put(SPAM, deltas[2])
            assert registry.lease(SPAM).version.number == 1
            assert number_of(registry.load(registry.get(SPAM).active.ref)) == 1
        registry.put(SPAM, deltas[2])
        assert number_of(registry.load(registry.get(SPAM).active.ref)) == 2
    with closing(Registry(Store(root), base)) as registry:
        assert [each.number for each in registry.versions.of(SPAM).versions] == [1, 2]
