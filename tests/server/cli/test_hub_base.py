"""A base of a hub is named with its revision, on the terminal and on the wire."""

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx2

from tests.hub import NEW, OLD, cache_revision
from tests.ports import held_port


def test_the_revision_is_printed_and_shown(decoder: Path, tmp_path: Path) -> None:
    cache_revision(tmp_path / "hub", "owner/tiny", OLD, decoder, "v1")
    cache_revision(tmp_path / "hub", "owner/tiny", NEW, decoder, "main")
    printed = tmp_path / "printed"
    command = [sys.executable, "-P", "-m", "server.cli", "serve", "owner/tiny@v1"]
    flags = ("--kv-cache-gb=0.01", "--dtype=float32", f"--store={tmp_path}")
    environment = os.environ | {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    with held_port() as port, printed.open("w") as errors:
        where = f"--port={port}"
        with subprocess.Popen([*command, *flags, where], env=environment, stderr=errors) as process:
            try:
                health = wait_for_health(port, process)
            finally:
                process.terminate()
    assert (health["base"], health["revision"]) == ("owner/tiny", OLD)
    assert f"The base is owner/tiny@{OLD}." in printed.read_text()


def wait_for_health(port: int, process: "subprocess.Popen[bytes]") -> dict[str, str]:
    while process.poll() is None:
        try:
            return httpx2.get(f"http://127.0.0.1:{port}/health").json()
        except httpx2.TransportError:
            time.sleep(0.1)
    raise AssertionError("It ended.")
