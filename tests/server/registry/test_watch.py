"""Watched directories: folders come, change, are half-written, are broken, and go."""

import logging
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deltas.base import BaseSpec
from server.errors import TaskNotFound
from server.registry.names import shared
from server.registry.registry import Registry
from server.registry.watch import Watch
from tests.server.registry.prompts import number_of, write_prompt

SETTLE = 0.3


@pytest.fixture
def watched(registry: Registry, tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "watched"
    directory.mkdir()
    watch = Watch(registry, directory, SETTLE, every=0.02)
    watch.start()
    yield directory
    watch.stop()


def number(registry: Registry, name: str) -> int | None:
    try:
        return number_of(registry.load(registry.get(shared(name)).active.ref))
    except TaskNotFound:
        return None


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_folder_becomes_a_task_and_its_changes_versions(
    registry: Registry, watched: Path, base: BaseSpec
) -> None:
    write_prompt(watched / "spam", base, 1)
    wait_until(lambda: number(registry, "spam") == 1)
    write_prompt(watched / "spam", base, 2)
    wait_until(lambda: number(registry, "spam") == 2)
    shutil.rmtree(watched / "spam")
    time.sleep(3 * SETTLE)
    assert number(registry, "spam") == 2
    write_prompt(watched / "spam", base, 3)
    wait_until(lambda: number(registry, "spam") == 3)


def test_what_is_still_written_is_not_read(
    registry: Registry, watched: Path, base: BaseSpec, tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    whole = write_prompt(tmp_path / "whole", base, 4)
    (watched / "slow").mkdir()
    shutil.copy(whole / "delta.json", watched / "slow")
    content = (whole / "delta.safetensors").read_bytes()
    with (watched / "slow" / "delta.safetensors").open("wb") as file:
        for start in range(0, len(content), 40):
            assert number(registry, "slow") is None
            file.write(content[start : start + 40])
            file.flush()
            time.sleep(SETTLE / 4)
    wait_until(lambda: number(registry, "slow") == 4)
    assert "not served" not in caplog.text


def test_a_broken_folder_is_told_once_and_read_again_when_it_changes(
    registry: Registry, watched: Path, base: BaseSpec, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    write_prompt(watched / "spam", base, 1)
    (watched / "spam" / "delta.safetensors").write_bytes(b"half")
    (watched / "a b").mkdir()
    (watched / "base").mkdir()
    (watched / "empty").mkdir()
    wait_until(lambda: "spam" in caplog.text)
    time.sleep(3 * SETTLE)
    assert len(caplog.records) == 1
    write_prompt(watched / "spam", base, 2)
    wait_until(lambda: number(registry, "spam") == 2)
    assert [task.name for task in registry.all()] == ["spam"]


def test_no_link_leads_out_of_the_directory(
    registry: Registry, watched: Path, base: BaseSpec, tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    secret = write_prompt(tmp_path / "secret", base, 1)
    (watched / "spam").symlink_to(secret)
    wait_until(lambda: "spam" in caplog.text)
    assert registry.all() == []
