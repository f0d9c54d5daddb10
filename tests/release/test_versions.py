"""One version, wherever it is told."""

import re
import tomllib
from importlib.metadata import version

import polydelta_client
from release.tree import version as released
from server.api.routes.server_info import show_version
from tests.test_project import ROOT


async def test_project_server_client_and_changelog_tell_one_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    heading = re.compile(r"^## \[(\d[^\]]*)\] - (?:\d{4}-\d\d-\d\d|Unreleased)$", re.MULTILINE)
    newest = heading.search(changelog)
    assert newest
    told = {version("polydelta"), (await show_version()).version, polydelta_client.__version__}
    assert told == {released()} == {newest[1]}


def test_the_server_takes_the_client_of_its_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    major, minor, _ = released().split(".")
    client = f"polydelta-client>={major}.{minor},<{major}.{int(minor) + 1}"
    assert client in project["dependencies"]
