"""A tiny base and small deltas for it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from deltas.base import BaseSpec, describe
from server.registry.registry import Registry
from server.registry.store import Store
from tests.models import tiny_model
from tests.server.registry.prompts import write_prompt


@pytest.fixture(scope="session")
def base() -> BaseSpec:
    return describe(tiny_model("llama"), "tiny")


@pytest.fixture
def registry(base: BaseSpec, tmp_path: Path) -> Registry:
    return Registry(Store(tmp_path / "store"), base)


@pytest.fixture
def delta(base: BaseSpec, tmp_path: Path) -> Callable[[int], Path]:
    """Write one of several different deltas and return its directory."""

    def make(number: int) -> Path:
        return write_prompt(tmp_path / f"delta-{number}", base, number)

    return make
