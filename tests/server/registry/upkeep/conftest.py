"""A store that has something of everything, and its archive."""

import shutil
from contextlib import closing
from pathlib import Path

import pytest

from deltas.base import BaseSpec
from server.registry.names import shared
from server.registry.registry import Registry
from server.registry.store import Store
from server.registry.upkeep.exporting import export
from tests.server.registry.prompts import write_prompt
from tests.server.registry.upkeep.archives import TENANTS, begin


@pytest.fixture(scope="module")
def made(base: BaseSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store and its archive.

    It has versions that share traffic, a blob of two tasks, a tenant's task, and a removed one.
    """
    made = tmp_path_factory.mktemp("made")
    with closing(Registry(Store(made / "store"), base)) as registry:
        for name, number in ((shared("a"), 1), (shared("a"), 2), (shared("b"), 1), (TENANTS, 3)):
            delta = write_prompt(made / f"{number}", base, number)
            registry.put(name, delta, source=f"number {number}")
        registry.versions.alias(shared("a"), "champion", 1)
        registry.sharing.share(shared("a"), {"1": 90, "2": 10})
        registry.put(shared("d"), write_prompt(made / "4", base, 4))
        registry.remove(shared("d"))
        registry.settle()
        export(made / "store", made / "all.tar", (), begin)
    return made


@pytest.fixture
def archive(made: Path, tmp_path: Path) -> Path:
    return shutil.copy(made / "all.tar", tmp_path / "all.tar")


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return tmp_path / "new"
