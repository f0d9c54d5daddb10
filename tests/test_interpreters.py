"""Every Python that the project starts takes its modules from where they are installed."""

import re
from pathlib import Path

import pytest

from server.bench.errors import BenchError
from server.bench.peers import environment_of, named
from server.bench.process import server
from tests.server.bench.environments import borrow
from tests.test_project import ROOT

STARTED = re.compile(r"""(?:\bpython3?|\.executable|\.python\)?)["']?,? ["']?-(?:m|c)\b""")
"""An interpreter that is told a module or a line of code, and looks in the working directory."""


@pytest.mark.parametrize("name", ["server", "deltas", "clients", "Dockerfile"])
def test_none_is_started_without_the_option(name: str) -> None:
    place = ROOT / name
    files = place.rglob("*.py") if place.is_dir() else [place]
    found = [
        f"{file.relative_to(ROOT)}: {line.strip()}"
        for file in files
        for line in file.read_text().splitlines()
        if STARTED.search(line) and '"""' not in line and "command=" not in line
    ]
    assert found == []


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with modules of names that are also looked for elsewhere."""
    for name in ("server", "pip", "venv"):
        (tmp_path / f"{name}.py").write_text("open('taken', 'w').close()\nraise SystemExit(9)\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_server_of_the_benchmark_is_ours(hostile: Path) -> None:
    # A flag that is not there ends it at once, in words that only our command line has.
    with pytest.raises(BenchError, match="no-such-flag"), server(["--no-such-flag"]):
        pass
    assert not (hostile / "taken").exists()


def test_an_environment_s_pip_is_the_installed_one(hostile: Path) -> None:
    borrow("transformers", hostile)
    environment_of(named("transformers"), hostile).pip("--version")
    assert not (hostile / "taken").exists()
