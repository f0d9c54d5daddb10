"""The project as a whole: every module imports, every pin holds, nothing is left unfinished."""

import importlib
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from server.cli.demo import BASES
from server.model.package import requirement

ROOT = Path(__file__).parents[1]
PACKAGES = {"deltas": ROOT, "server": ROOT, "polydelta_client": ROOT / "clients" / "python"}
PROJECTS = ["pyproject.toml", "clients/python/pyproject.toml"]
TEXTS = {".md", ".py", ".toml", ".txt", ".yml", ""}
UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")


def modules() -> list[str]:
    """The dotted name of every module of every package."""
    return sorted(
        ".".join(file.relative_to(top).with_suffix("").parts).removesuffix(".__init__")
        for package, top in PACKAGES.items()
        for file in (top / package).rglob("*.py")
        if file.name != "__main__.py"
    )


def texts() -> list[Path]:
    """Every file of the project that people write."""
    folders = ["clients", "deltas", "docs", "server", "tests", ".ci"]
    below = [file for folder in folders for file in (ROOT / folder).rglob("*")]
    return [
        file
        for file in (*ROOT.iterdir(), *below)
        if file.is_file() and file.suffix in TEXTS and "__pycache__" not in file.parts
    ]


def pins() -> dict[str, str]:
    """The pinned version of every distribution, by its canonical name."""
    lines = [
        line
        for part in ("", "-postgres", "-signatures", "-dev")
        for line in (ROOT / f"requirements{part}.txt").read_text().splitlines()
        if not line.startswith(("#", "-"))
    ]
    versions = (line.partition(";")[0].split("==") for line in lines)
    return {canonicalize_name(name): version for name, version in versions}


@pytest.mark.parametrize("name", modules())
def test_every_module_imports(name: str) -> None:
    importlib.import_module(name)


def test_nothing_is_left_unfinished() -> None:
    marked = [file for file in texts() if UNFINISHED.search(file.read_text(errors="replace"))]
    assert marked == []


def test_the_licence_is_apache_2() -> None:
    assert (
        "Apache License\n                           Version 2.0" in (ROOT / "LICENSE").read_text()
    )


@pytest.mark.parametrize("project", PROJECTS)
def test_every_dependency_is_pinned_within_its_range(project: str) -> None:
    metadata = tomllib.loads((ROOT / project).read_text())["project"]
    wanted = [*metadata["dependencies"], *metadata.get("optional-dependencies", {}).get("dev", [])]
    for needed in map(Requirement, wanted):
        if needed.name != "polydelta-client":
            assert pins()[canonicalize_name(needed.name)] in needed.specifier


@pytest.mark.parametrize(("base", "package"), BASES.items())
def test_a_base_has_one_version(base: str, package: str) -> None:
    assert requirement(package) in (ROOT / f"requirements-{base}.txt").read_text().splitlines()
