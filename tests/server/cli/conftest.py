"""The command line as a user meets it, with a server in another process to talk to."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deltas.base import BaseSpec
from deltas.formats import native
from server.build import open_base
from server.cli import main
from server.settings import Settings
from tests import samples
from tests.server.served import served, url_of

LABELS = ("ham", "spam")


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    code: int
    out: str
    err: str


Polydelta = Callable[..., Result]


@pytest.fixture
def polydelta(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Polydelta:
    """Run `polydelta ARGUMENTS`."""

    def run(*arguments: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["polydelta", *arguments])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        printed = capsys.readouterr()
        return Result(code, printed.out, printed.err)

    return run


@pytest.fixture(scope="session")
def spec(decoder: Path) -> BaseSpec:
    return open_base(Settings(base=str(decoder), device="cpu", dtype="float32")).spec


@pytest.fixture(scope="session")
def spam(spec: BaseSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier's directory."""
    directory = tmp_path_factory.mktemp("deltas") / "spam"
    native.write(samples.classifier(spec, LABELS), directory, spec)
    return directory


@pytest.fixture(scope="session")
def url(decoder: Path, spam: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with one task."""
    tasks, store = {"spam": str(spam)}, tmp_path_factory.mktemp("served") / "store"
    with served(decoder, store, tasks=tasks, drain_timeout=0) as (_, http):
        yield url_of(http)


@pytest.fixture
def at_server(url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The commands speak to the server without being told where it is."""
    monkeypatch.setenv("POLYDELTA_BASE_URL", url)
    return url
