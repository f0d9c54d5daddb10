"""Runs Python scripts one after another in one process, so that what they import loads once.

Standard input holds a JSON list of command lines, each a script's path and its arguments.
"""

import json
import runpy
import sys
from pathlib import Path


def main() -> None:
    """Run them all."""
    for command in json.load(sys.stdin):
        sys.argv = command
        # A script finds its own modules beside it.
        sys.path[0] = str(Path(command[0]).parent)
        runpy.run_path(command[0], run_name="__main__")


if __name__ == "__main__":
    main()
