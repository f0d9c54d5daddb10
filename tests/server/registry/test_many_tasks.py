"""Starting with many tasks takes little longer than with none."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from server.model.base import load_base
from server.registry.names import shared
from server.registry.registry import Registry
from server.registry.store import Store
from tests.server.registry.prompts import write_prompt
from tests.server.served import served

TASKS = 1000
STARTS = 3


@contextmanager
def timed(base: Path, store: Path, spent: list[float]) -> Iterator[int]:
    began = time.monotonic()
    with served(base, store) as (_, http):
        spent.append(time.monotonic() - began)
        yield len(http.get("/v1/tasks").json()["tasks"])


@pytest.mark.long
def test_a_thousand_tasks_are_ready_soon(decoder: Path, tmp_path: Path) -> None:
    spec = load_base("tiny", decoder, torch.float32, torch.device("cpu")).spec
    registry = Registry(Store(tmp_path / "full"), spec)
    for number in range(TASKS):
        registry.put(shared(f"task-{number}"), write_prompt(tmp_path / "delta", spec, number + 1))
    registry.settle()
    registry.close()
    with_none: list[float] = []
    with_all: list[float] = []
    for _ in range(STARTS):
        with timed(decoder, tmp_path / "empty", with_none) as count:
            assert count == 0
        with timed(decoder, tmp_path / "full", with_all) as count:
            assert count == TASKS
    none, every = min(with_none), min(with_all)
    sys.stdout.write(f"ready after {none:.2f} s, with {TASKS} tasks {every:.2f} s: x")
    sys.stdout.write(f" {every / none:.2f}\n")
    assert every - none < 2
