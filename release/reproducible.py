"""Builds a release again, elsewhere, and compares: `python -m release.reproducible FOLDER`.

The second build is of a copy of the tree in another folder, with another umask, time zone and
locale. Exits with 1 where a file differs by one byte.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from release.tree import ROOT, epoch


def digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file of a folder, by name."""
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.iterdir())
    }


def build_elsewhere(place: Path) -> Path:
    """Copy the tree and build it there; the folder with the packages."""
    tree = copy_tree(place / "another" / "tree")
    command = [sys.executable, "-m", "release.wheels", "built"]
    odd = {"SOURCE_DATE_EPOCH": epoch(), "TZ": "Pacific/Kiritimati", "LC_ALL": "C"}
    subprocess.run(command, cwd=tree, env=os.environ | odd, umask=0o077, check=True)
    return tree / "built"


def copy_tree(copy: Path) -> Path:
    """Copy what git would commit of the tree."""
    listing = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others"]
    command = [*listing, "--exclude-standard"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, copy / name)
    return copy


def main(folder: Path) -> bool:
    """Print each file's digest and whether it came out again; whether all did."""
    with TemporaryDirectory() as place:
        first, second = digests(folder), digests(build_elsewhere(Path(place)))
    for name in sorted(first | second):
        verdict = "same" if first.get(name) == second.get(name) else "DIFFERS"
        sys.stdout.write(f"{verdict:8} {first.get(name)}  {name}\n")
    return first == second


if __name__ == "__main__":
    raise SystemExit(0 if main(Path(sys.argv[1])) else 1)
