"""The tree that is released."""

import os
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
CLIENT = ROOT / "clients" / "python"


def version() -> str:
    """The version that pyproject.toml names."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def epoch() -> str:
    """The time that files of a release bear: $SOURCE_DATE_EPOCH, or the last commit's."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return given
    asked = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
