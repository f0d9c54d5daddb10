"""The tree that is released."""

import os
import subprocess
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
CLIENT = ROOT / "clients" / "python"


def project(folder: Path = ROOT) -> dict[str, Any]:
    """What pyproject.toml says of a package, the server's if no other is named."""
    return tomllib.loads((folder / "pyproject.toml").read_text())["project"]


def version() -> str:
    """The version that pyproject.toml names."""
    return project()["version"]


def extras() -> list[str]:
    """What may be installed with the server; what its developers need is no part of a release."""
    return sorted(project()["optional-dependencies"].keys() - {"dev"})


def epoch() -> str:
    """The time that files of a release bear: $SOURCE_DATE_EPOCH, or the last commit's."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return given
    asked = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
