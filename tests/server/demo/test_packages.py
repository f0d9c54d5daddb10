"""Packages are fetched by the real pip, from a folder that stands in for the index."""

import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from server.demo.packages import Package, PackageError, fetch

_NAME = "polydelta-sample"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    index = tmp_path / "index"
    index.mkdir()
    archive = index / "polydelta_sample-1.0-py3-none-any.whl"
    info = "polydelta_sample-1.0.dist-info"
    with zipfile.ZipFile(archive, "w") as wheel:
        wheel.writestr("polydelta_sample/data/one.txt", "one")
        wheel.writestr("polydelta_sample/__init__.py", "raise RuntimeError('imported')")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {_NAME}\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("POLYDELTA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    return Package("pypi", _NAME, "1.0", hashlib.sha256(archive.read_bytes()).hexdigest())


def test_a_package_is_unpacked_and_kept(package: Package, tmp_path: Path) -> None:
    folder = fetch(package)
    assert (folder / "polydelta_sample/data/one.txt").read_text() == "one"
    assert folder.is_relative_to(tmp_path / "cache")
    next((tmp_path / "index").iterdir()).unlink()
    assert fetch(package) == folder


def test_another_archive_of_that_name_is_refused(package: Package, tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="has digest"):
        fetch(replace(package, sha256="0" * 64))
    assert not list((tmp_path / "cache").rglob("*.txt"))


def test_what_cannot_be_fetched_is_named(package: Package) -> None:
    with pytest.raises(PackageError, match=r"cannot fetch polydelta-sample 2.0 \(pypi\)"):
        fetch(replace(package, version="2.0"))


def test_a_missing_command_is_named(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(PackageError, match="'npm' is not installed"):
        fetch(replace(package, index="npm"))
