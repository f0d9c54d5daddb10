"""A library says what it does and what it was built from; one of other sources is not used."""

import ctypes
import logging
import shutil
import subprocess
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from deltas.kernels import Kernels, Recorder, build, load_kernels, loading
from deltas.kernels.build import BUILT, FOLDER, find_compiler, sources
from deltas.kernels.library import DTYPES, Library
from deltas.kernels.loading import staleness, usable
from server.cli.advice import advice
from tests.kernels import needs_kernels
from tests.server.cli.test_doctor import CPU

pytestmark = needs_kernels


@pytest.fixture(autouse=True)
def _afresh() -> Generator[None]:
    yield
    forget()


def forget() -> None:
    for known in (load_kernels, staleness, loading.warn):
        known.cache_clear()


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The sources elsewhere, beside the library that is built."""
    folder = tmp_path / "kernels"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("built", "__pycache__"))
    for module in (build, loading):
        monkeypatch.setattr(module, "FOLDER", folder)
    forget()
    return folder


def test_every_library_is_of_these_sources() -> None:
    paths = [path for name in usable() if (path := BUILT / f"{name}.so").is_file()]
    assert {Library(path).sources for path in paths} == {sources()}


def test_the_same_sources_elsewhere_are_no_others(copied: Path) -> None:
    assert staleness() is None
    assert load_kernels(torch.float32) is not None


@pytest.mark.parametrize("name", ["product.h", "kernels.cpp", "build.py"])
def test_a_library_of_other_sources_is_not_used(
    copied: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with (copied / name).open("a") as file:
        file.write("\n")
    with caplog.at_level(logging.WARNING):
        assert load_kernels(torch.float32) is None
    command = f"python {copied / 'build.py'}"
    assert command in caplog.text
    found = "\n".join(advice(replace(CPU, kernels=None, stale=staleness())))
    assert command in found
    assert "install" not in found


def test_that_there_is_no_library_is_logged_once_with_how_to_build_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(loading, "BUILT", tmp_path)
    forget()
    with caplog.at_level(logging.WARNING):
        for dtype in DTYPES:
            assert load_kernels(dtype) is None
    assert caplog.text.count(f"python {FOLDER / 'build.py'}") == 1


@pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler here")
def test_a_library_that_says_nothing_of_its_sources_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty, old = tmp_path / "empty.cpp", tmp_path / f"{usable()[0]}.so"
    empty.touch()
    subprocess.run([str(find_compiler()), "-shared", "-fPIC", empty, "-o", old], check=True)
    monkeypatch.setattr(loading, "BUILT", tmp_path)
    forget()
    assert load_kernels(torch.float32) is None


def test_operations_say_what_a_step_gives(kernels: Kernels) -> None:
    arguments = {name: each.arguments for name, each in kernels.operations.items()}
    assert arguments["linear"] == "piIppiipipiPI"
    assert arguments["place"] == "piIiiippfppiiPpp"
    assert arguments["packed_size"] == "ii"


def test_a_call_of_too_few_arguments_is_none(kernels: Kernels) -> None:
    for each in kernels.operations.values():
        nothing = [ctypes.c_int64(0)] * (len(each.arguments) - 1)
        for function in (each.short, each.long):
            with pytest.raises(TypeError, match="at least"):
                function(*nothing)


def test_a_call_that_keeps_what_a_step_gives_is_not_written_down(kernels: Kernels) -> None:
    recorder = Recorder(kernels, 4)
    rows = torch.zeros(4, 2)
    recorder._write("activate", rows, 2, 0)
    with pytest.raises(ValueError, match="longer"):
        recorder._write("activate", rows, 4, 2, 0)
