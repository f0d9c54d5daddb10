"""Watched directories: folders come, change, are half-written, are broken, and go."""

import logging
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import partial
from math import inf
from pathlib import Path

import pytest

from deltas.base import BaseSpec
from server.errors import TaskNotFound
from server.registry.names import shared
from server.registry.registry import Registry
from server.registry.tally import Counted
from server.registry.watch import Watch
from tests.server.api.live import wait_until
from tests.server.registry.prompts import number_of, write_prompt
from tests.sums import finish

EVERY = 0.02
PATIENCE = 0.5

WRITER = """
import sys, time
from pathlib import Path

source, place, pause = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
place.mkdir(exist_ok=True)
# The sums come last.
for path in sorted(source.iterdir(), key=lambda path: path.name == "SHA256SUMS"):
    content = path.read_bytes()
    with (place / path.name).open("wb") as file:
        for start in range(0, len(content), 60):
            file.write(content[start : start + 60])
            file.flush()
            print(path.name, start, flush=True)
            time.sleep(pause)
"""


@contextmanager
def watching(registry: Registry, directory: Path, patience: float = PATIENCE) -> Generator[None]:
    watch = Watch(registry, directory, EVERY, patience)
    watch.start()
    try:
        yield
    finally:
        watch.stop()


@pytest.fixture
def watched(registry: Registry, tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "watched"
    directory.mkdir()
    with watching(registry, directory):
        yield directory


def write(folder: Path, base: BaseSpec, number: int) -> Path:
    return finish(write_prompt(folder, base, number))


def writer(source: Path, place: Path, pause: float = 0.05) -> "subprocess.Popen[str]":
    """Begin to copy a folder in a process of its own, slowly."""
    command = [sys.executable, "-c", WRITER, str(source), str(place), str(pause)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def number(registry: Registry, name: str) -> int | None:
    try:
        return number_of(registry.load(registry.get(shared(name)).active.ref))
    except TaskNotFound:
        return None


def is_number(registry: Registry, name: str, meant: int) -> bool:
    return number(registry, name) == meant


def unserved(registry: Registry) -> float:
    return sum(registry.tally.counts(Counted.UNSERVED).values())


def test_a_folder_becomes_a_task_and_its_changes_versions(
    registry: Registry, watched: Path, base: BaseSpec
) -> None:
    write(watched / "spam", base, 1)
    wait_until(lambda: number(registry, "spam") == 1)
    # What is written over is finished by new sums.
    write_prompt(watched / "spam", base, 2)
    time.sleep(10 * EVERY)
    assert number(registry, "spam") == 1
    finish(watched / "spam")
    wait_until(lambda: number(registry, "spam") == 2)
    shutil.rmtree(watched / "spam")
    time.sleep(10 * EVERY)
    assert number(registry, "spam") == 2
    write(watched / "spam", base, 3)
    wait_until(lambda: number(registry, "spam") == 3)


def test_however_slowly_a_folder_is_written_it_is_read_whole(
    registry: Registry, base: BaseSpec, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    watched, whole = tmp_path / "watched", write(tmp_path / "whole", base, 4)
    watched.mkdir()
    # Whoever writes may be held up for as long as the machine has other work.
    with watching(registry, watched, patience=inf):
        write(watched / "spam", base, 1)
        wait_until(lambda: number(registry, "spam") == 1)
        # Over what is there, with pauses in which many looks find nothing changed.
        with writer(whole, watched / "spam", pause=5 * EVERY) as process:
            while process.poll() is None:
                assert number(registry, "spam") in (1, 4)
                time.sleep(EVERY)
        wait_until(lambda: number(registry, "spam") == 4)
    assert [version.number for version in registry.get(shared("spam")).versions] == [2, 1]
    assert "not served" not in caplog.text


@pytest.mark.parametrize("last", ["delta.json", "delta.safetensors", "SHA256SUMS"])
def test_what_a_killed_writer_leaves_is_never_read_and_is_told(
    registry: Registry, watched: Path, base: BaseSpec, tmp_path: Path, last: str,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    whole = write(tmp_path / "whole", base, 4)
    with writer(whole, watched / "spam") as process:
        assert process.stdout is not None
        while not process.stdout.readline().startswith(f"{last} 60"):
            pass
        process.send_signal(signal.SIGKILL)
    wait_until(lambda: unserved(registry) == 1)
    assert registry.all() == []
    assert "SHA256SUMS" in caplog.text
    # Whoever writes it again mends it.
    shutil.copytree(whole, watched / "spam", dirs_exist_ok=True)
    wait_until(lambda: number(registry, "spam") == 4)
    wait_until(lambda: unserved(registry) == 0)


@pytest.mark.parametrize(
    "sums",
    [
        "",
        "no digest  delta.json\n",
        "{json}  delta.json\n",
        "{json}  delta.json\n{weights}  delta.safetensors",
        "{json}  delta.json\n{json}  delta.safetensors\n",
        "{json}  delta.json\n{weights}  delta.safetensors\n{json}  chat_template.jinja\n",
        "{json}  delta.json\n{weights}  delta.safetensors\n" + "x" * 100_000 + "\n",
    ],
)
def test_sums_that_do_not_agree_finish_nothing(
    registry: Registry, watched: Path, base: BaseSpec, sums: str
) -> None:
    folder = write(watched.parent / "folder", base, 1)
    names = ("delta.json", "delta.safetensors")
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    told = {line.partition("  ")[2]: line[:64] for line in lines}
    assert set(names) <= told.keys()
    (folder / "SHA256SUMS").write_text(
        sums.replace("{json}", told[names[0]]).replace("{weights}", told[names[1]])
    )
    folder.rename(watched / "spam")
    wait_until(lambda: unserved(registry) == 1)
    assert registry.all() == []


def test_sums_are_written_in_more_than_one_way(
    registry: Registry, watched: Path, base: BaseSpec
) -> None:
    for name, command in (
        ("again", "sha256sum * > SHA256SUMS; sha256sum * > SHA256SUMS"),
        ("dots", "find . -type f ! -name SHA256SUMS -exec sha256sum {} + > SHA256SUMS"),
        ("binary", "sha256sum --binary * > SHA256SUMS"),
    ):
        folder = write_prompt(watched.parent / name, base, 1)
        (folder / "logs").mkdir()
        (folder / "logs" / "run.txt").write_text("more")
        (folder / "README.md").write_text("about")
        subprocess.run(command, shell=True, cwd=folder, stderr=subprocess.DEVNULL)
        folder.rename(watched / name)
    wait_until(lambda: len(registry.all()) == 3)


def test_a_broken_folder_is_told_once_and_read_again_when_it_changes(
    registry: Registry, watched: Path, base: BaseSpec, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    folder = write_prompt(watched.parent / "folder", base, 1)
    (folder / "delta.safetensors").write_bytes(b"no tensors")
    finish(folder).rename(watched / "spam")
    (watched / "a b").mkdir()
    (watched / "base").mkdir()
    wait_until(lambda: "spam" in caplog.text)
    time.sleep(10 * EVERY)
    assert len(caplog.records) == 1
    assert unserved(registry) == 1
    write(watched / "spam", base, 2)
    wait_until(lambda: number(registry, "spam") == 2)
    wait_until(lambda: unserved(registry) == 0)
    assert [task.name for task in registry.all()] == ["spam"]


def test_a_restart_takes_up_what_changed_and_undoes_nothing(
    registry: Registry, base: BaseSpec, tmp_path: Path
) -> None:
    directory = tmp_path / "watched"
    directory.mkdir()
    with watching(registry, directory):
        for last in (1, 2):
            for name in ("back", "gone", "changed"):
                write(directory / name, base, last)
                wait_until(partial(is_number, registry, name, last))
    registry.versions.activate(shared("back"), 1)
    registry.remove(shared("gone"))
    write(directory / "changed", base, 3)
    with watching(registry, directory):
        wait_until(lambda: number(registry, "changed") == 3)
        time.sleep(10 * EVERY)
        assert (number(registry, "back"), number(registry, "gone")) == (1, None)
        write(directory / "back", base, 4)
        wait_until(lambda: number(registry, "back") == 4)


def test_a_directory_that_is_away_for_a_while_undoes_nothing(
    registry: Registry, base: BaseSpec, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    directory, away = tmp_path / "watched", tmp_path / "away"
    directory.mkdir()
    with watching(registry, directory):
        for last in (1, 2):
            for name in ("back", "gone"):
                write(directory / name, base, last)
                wait_until(partial(is_number, registry, name, last))
        registry.versions.activate(shared("back"), 1)
        registry.remove(shared("gone"))
        directory.rename(away)
        wait_until(lambda: "cannot be read" in caplog.text)
        time.sleep(10 * EVERY)
        away.rename(directory)
        write(directory / "new", base, 3)
        wait_until(lambda: number(registry, "new") == 3)
        time.sleep(10 * EVERY)
        assert (number(registry, "back"), number(registry, "gone")) == (1, None)
    assert caplog.text.count("cannot be read") == 1
    directory.rename(away)
    # It may come after the server, as what is mounted does.
    with watching(registry, directory):
        wait_until(lambda: caplog.text.count("cannot be read") == 2)
        away.rename(directory)
        write(directory / "new", base, 4)
        wait_until(lambda: number(registry, "new") == 4)
        time.sleep(10 * EVERY)
        assert (number(registry, "back"), number(registry, "gone")) == (1, None)


def test_a_mount_point_that_is_empty_for_a_while_undoes_nothing(
    registry: Registry, base: BaseSpec, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    directory, away = tmp_path / "watched", tmp_path / "away"
    directory.mkdir()
    with watching(registry, directory):
        for last in (1, 2):
            write(directory / "back", base, last)
            wait_until(partial(is_number, registry, "back", last))
        registry.versions.activate(shared("back"), 1)
        directory.rename(away)
        directory.mkdir()
        wait_until(lambda: "is empty" in caplog.text)
        assert number(registry, "back") == 1
        directory.rmdir()
        away.rename(directory)
        write(directory / "new", base, 3)
        wait_until(lambda: number(registry, "new") == 3)
        time.sleep(10 * EVERY)
        assert number(registry, "back") == 1
    assert caplog.text.count("is empty") == 1
    directory.rename(away)
    directory.mkdir()
    # What is mounted only after the server has looked was there when it started, all the same.
    with watching(registry, directory):
        time.sleep(10 * EVERY)
        directory.rmdir()
        away.rename(directory)
        write(directory / "new", base, 4)
        wait_until(lambda: number(registry, "new") == 4)
        time.sleep(10 * EVERY)
        assert number(registry, "back") == 1


def test_a_folder_out_of_reach_stays_as_it_is_keeps_no_other_and_is_told_once(
    registry: Registry, watched: Path, base: BaseSpec, caplog: pytest.LogCaptureFixture
) -> None:
    for last in (1, 2):
        write(watched / ".disk", base, last)
        if last == 1:
            (watched / "linked").symlink_to(".disk")
        wait_until(partial(is_number, registry, "linked", last))
    registry.versions.activate(shared("linked"), 1)
    (watched / "linked").unlink()
    # A link to itself can be neither listed nor looked at.
    (watched / "linked").symlink_to("linked")
    wait_until(lambda: "cannot be read" in caplog.text)
    write(watched / "other", base, 3)
    wait_until(lambda: number(registry, "other") == 3)
    assert (number(registry, "linked"), unserved(registry)) == (1, 0)
    (watched / "linked").unlink()
    (watched / "linked").symlink_to(".disk")
    write(watched / "other", base, 4)
    wait_until(lambda: number(registry, "other") == 4)
    time.sleep(10 * EVERY)
    assert (number(registry, "linked"), unserved(registry)) == (1, 0)
    assert caplog.text.count("cannot be read") == 1


def test_no_link_leads_out_of_the_directory(
    registry: Registry, watched: Path, base: BaseSpec, tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    secret = write(tmp_path / "secret", base, 1)
    (watched / "spam").symlink_to(secret)
    wait_until(lambda: "spam" in caplog.text)
    assert registry.all() == []
