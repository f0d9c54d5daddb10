"""Completion, installed and used in the shells themselves."""

import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path
from select import select

import pytest

from tests.server.api.live import PATIENCE


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A new user's, with the tests' own `polydelta`."""
    bin_folder = str(Path(sys.executable).parent)
    return {
        "HOME": str(tmp_path),
        "PATH": os.pathsep.join([bin_folder, "/usr/local/bin", "/usr/bin", "/bin"]),
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "TERM": "dumb",
    }


def typed(shell: list[str], environment: dict[str, str], keys: str, wanted: str) -> str:
    """Type in a shell until it shows what is wanted; what it showed."""
    process, terminal = pty.fork()
    if process == 0:
        os.execvpe(shell[0], shell, environment)
    shown = ""
    try:
        os.write(terminal, keys.encode())
        while wanted not in shown and select([terminal], [], [], PATIENCE)[0]:
            shown += os.read(terminal, 4096).decode(errors="replace")
    finally:
        os.kill(process, 9)
        os.waitpid(process, 0)
        os.close(terminal)
    return shown


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_command_is_completed(shell: str, environment: dict[str, str]) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    install = [shell, "-c", "polydelta --install-completion; true"]
    subprocess.run(install, env=environment, check=True, capture_output=True)
    # In zsh the first key of a session only loads the completion.
    assert "tor" in typed([shell, "-i"], environment, "polydelta doc\t\t", "tor")
