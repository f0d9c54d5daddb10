"""Environments of peers whose packages the tests' own interpreter has."""

import sys
from pathlib import Path

from server.bench.peers import environment_of, named


def borrow(name: str, cache: Path) -> None:
    """Make a cache in which a peer runs under this interpreter."""
    environment = environment_of(named(name), cache)
    environment.python.parent.mkdir(parents=True)
    environment.python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    environment.python.chmod(0o755)
    environment.finish()
