"""Checkpoints: directories of files from strangers, read without trusting them."""

import os
import stat
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import safetensors
import safetensors.torch
from torch import Tensor

from deltas import strict_json
from deltas.errors import InvalidDelta, UnsafeDelta
from deltas.header import check_header
from deltas.strict_json import Json

MAX_WEIGHTS = 2 * 1024**3
"""Greatest size of a weights file in bytes."""

_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".npy", ".npz")
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst")


@contextmanager
def open_regular(directory: Path, name: str) -> Generator[tuple[BinaryIO, int]]:
    """Open one file of a directory for reading and tell its size in bytes.

    Links are not followed and devices and pipes are never waited for. Raises InvalidDelta for
    anything but a regular file.
    """
    # Without O_NONBLOCK, opening a pipe would wait for a writer.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        handle = os.open(directory / name, flags)
    except OSError as error:
        raise InvalidDelta(f"{name} is missing, a link or not readable.") from error
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise InvalidDelta(f"{name} is not a regular file.")
        with os.fdopen(handle, "rb", closefd=False) as file:
            yield file, status.st_size
    finally:
        os.close(handle)


class Checkpoint:
    """One directory's files; only those asked for by name are opened.

    Raises InvalidDelta where there is no directory.
    """

    def __init__(self, directory: Path, max_weights: int = MAX_WEIGHTS) -> None:
        self.directory = directory
        self.max_weights = max_weights
        try:
            self.names = frozenset(path.name for path in directory.iterdir())
        except OSError as error:
            raise InvalidDelta("There is no readable directory of checkpoint files.") from error

    def json(self, name: str) -> dict[str, Json]:
        """Read a JSON object; raises InvalidDelta if it is absent or unsound."""
        with open_regular(self.directory, name) as (file, _):
            return strict_json.parse(file.read(strict_json.MAX_BYTES + 1), name)

    def tensors(self, name: str) -> dict[str, Tensor]:
        """Read a weights file whole, header first.

        Raises InvalidDelta if it is absent, unsound or too large, UnsafeDelta if it is a pickle.
        """
        self.require_weights(name)
        with open_regular(self.directory, name) as (file, size):
            if size > self.max_weights:
                raise InvalidDelta(
                    f"{name} has {size} bytes; at most {self.max_weights} are allowed."
                )
            check_header(file, size, name)
            file.seek(0)
            data = file.read(size)
        try:
            return safetensors.torch.load(data)
        except (safetensors.SafetensorError, ValueError) as error:
            raise InvalidDelta(f"{name} cannot be read: {error}.") from error

    def require_weights(self, name: str) -> None:
        """Raise unless a weights file is present, explaining what is there instead."""
        if name in self.names:
            return
        self.refuse_unsafe()
        raise InvalidDelta(f"The checkpoint has no {name}.")

    def refuse_unsafe(self) -> None:
        """Raise UnsafeDelta if the directory holds files that are never opened."""
        for name in sorted(self.names):
            if name.lower().endswith(_PICKLES):
                raise UnsafeDelta(
                    f"{name} may run code when opened and is refused. Load it where you trust it "
                    "and save it again with save_pretrained(..., safe_serialization=True)."
                )
            if name.lower().endswith(_ARCHIVES):
                raise UnsafeDelta(f"{name} is an archive; unpack it and give its files.")
