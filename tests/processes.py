"""Processes as the system lists them, found by a variable that they inherit."""

import time
from pathlib import Path


def marked(variable: str) -> list[str]:
    """The command lines of all living processes that have `variable`, NAME=VALUE."""
    found: list[str] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if variable.encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:  # It ended meanwhile.
            continue
    return [line for line in found if line]


def all_end(variable: str, seconds: float = 120.0) -> bool:
    """Whether all processes that have `variable` end within so long."""
    deadline = time.monotonic() + seconds
    while marked(variable):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
