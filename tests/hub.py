"""A hub's cache as its library lays it out: blobs, and snapshots of links into them."""

import hashlib
import shutil
from pathlib import Path

OLD, NEW = "a" * 40, "b" * 40
"""Commits."""


def cache_revision(cache: Path, repository: str, commit: str, files: Path, name: str) -> None:
    """Add a directory's files as a repository's commit, which a branch or a tag names."""
    folder = cache / f"models--{repository.replace('/', '--')}"
    snapshot = folder / "snapshots" / commit
    for each in (folder / "blobs", folder / "refs", snapshot):
        each.mkdir(parents=True, exist_ok=True)
    (folder / "refs" / name).write_text(commit)
    for file in files.iterdir():
        blob = hashlib.sha256(file.read_bytes()).hexdigest()
        shutil.copy(file, folder / "blobs" / blob)
        (snapshot / file.name).symlink_to(Path("../../blobs") / blob)
