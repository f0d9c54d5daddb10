"""A tiny base, small deltas for it, and servers that have files."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deltas.base import BaseSpec, describe
from server.registry.registry import Registry
from server.registry.store import Store
from tests.file_server import FileServer, make_certificate, serving_files
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


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls") / "localhost.pem")


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    return certificate


@pytest.fixture
def web(trusted: Path) -> Iterator[FileServer]:
    with serving_files(trusted) as files:
        yield files


@pytest.fixture
def storage(trusted: Path) -> Iterator[FileServer]:
    with serving_files(trusted) as files:
        yield files
