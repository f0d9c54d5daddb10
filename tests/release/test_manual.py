"""The manual page: as the command line is, and as `man` wants it."""

import os
import shutil
import subprocess
import sys

import pytest

from release.manual import PAGE
from tests.test_project import ROOT


def test_the_page_is_that_of_the_command_line() -> None:
    written = "import sys; from release.manual import manual; sys.stdout.write(manual())"
    command = [sys.executable, "-c", written]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout == PAGE.read_text(), "ops/polydelta.1 is out of date: make manual"


@pytest.mark.skipif(shutil.which("man") is None, reason="there is no man here")
def test_man_shows_it_without_a_warning() -> None:
    command = ["man", "--warnings=w", "--local-file", str(PAGE)]
    variables = os.environ | {"LC_ALL": "C.UTF-8", "MANWIDTH": "80", "MANPAGER": "cat"}
    done = subprocess.run(command, env=variables, check=True, capture_output=True, text=True)
    assert done.stderr == ""
    assert "polydelta task add [OPTIONS] {name} {source}" in done.stdout
    assert "POLYDELTA_MAX_SEQUENCES" in done.stdout
