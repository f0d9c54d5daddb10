"""What is in the packages: all that runs, with its licences, and no tests."""

import subprocess
import tarfile
import zipfile
from collections.abc import Iterator
from email.parser import Parser

import pytest

from release.wheels import build_pure, build_source
from tests.test_project import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    with zipfile.ZipFile(build_pure(tmp_path_factory.mktemp("wheel"))) as archive:
        yield archive


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    with tarfile.open(build_source(tmp_path_factory.mktemp("sdist"))) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


def committed(*folders: str) -> set[str]:
    """The files that git has in some folders."""
    command = ["git", "ls-files", "--", *folders]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return {name for name in done.stdout.splitlines() if (ROOT / name).is_file()}


def test_a_wheel_holds_every_file_of_the_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    names = {name for name in wheel.namelist() if not name.startswith("polydelta-")}
    assert names >= committed("deltas", "server")
    assert {name.partition("/")[0] for name in names} == {"deltas", "server"}
    assert not [name for name in names if name.endswith((".so", ".pyc"))]


def test_a_wheel_without_kernels_is_for_every_machine(wheel: zipfile.ZipFile) -> None:
    assert str(wheel.filename).endswith("-py3-none-any.whl")


def test_a_wheel_brings_the_licences_of_what_is_vendored(wheel: zipfile.ZipFile) -> None:
    names = [name for name in wheel.namelist() if ".dist-info/licenses/" in name]
    assert {name.rpartition("/")[2] for name in names} == {
        "LICENSE", "LICENSE.htm", "LICENSE.preact", "LICENSE.uplot"
    }  # fmt: skip
    named = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = Parser().parsestr(wheel.read(named).decode())
    assert metadata["License-Expression"] == "Apache-2.0 AND MIT"


def test_a_wheel_brings_the_dashboard_and_the_manual_page(wheel: zipfile.ZipFile) -> None:
    shared = [name.split(".data/data/") for name in wheel.namelist() if ".data/data/" in name]
    assert {name for _, name in shared} == {
        "share/polydelta/grafana-dashboard.json",
        "share/man/man1/polydelta.1",
    }


def test_the_client_has_the_project_s_licence() -> None:
    text = (ROOT / "clients" / "python" / "LICENSE").read_text()
    assert text == (ROOT / "LICENSE").read_text()


def test_the_source_distribution_holds_what_wheels_and_tests_need(source: set[str]) -> None:
    assert source >= committed("clients", "deltas", "docs", "ops", "release", "server", "tests")
    assert not [name for name in source if name.endswith(".so")]
