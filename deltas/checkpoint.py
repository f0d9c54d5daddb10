"""Checkpoints: directories of files from strangers, read without trusting them."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from io import BufferedReader
from pathlib import Path

import torch
from torch import Tensor

from deltas import strict_json
from deltas.errors import InvalidDelta, UnsafeDelta
from deltas.folder import Folder, opened
from deltas.header import Entry, read_header
from deltas.strict_json import Json

MAX_WEIGHTS = 2 * 1024**3
"""Greatest size of a weights file in bytes."""

_POINTER = b"version https://git-lfs."
_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".npy", ".npz")
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst")


class Checkpoint:
    """One directory's files; only those asked for by name are opened.

    With `outline`, weights are not read: tensors have their shapes and no memory (PyTorch's device
    "meta"). Raises InvalidDelta where there is no directory.
    """

    def __init__(
        self,
        directory: Path | Folder,
        max_weights: int = MAX_WEIGHTS,
        *,
        outline: bool = False,
    ) -> None:
        self._folder = opened(directory)
        self._outline = outline
        self.max_weights = max_weights
        self.names = self._folder.names

    def open(self, name: str) -> AbstractContextManager[tuple[BufferedReader, int]]:
        """Open a regular file and tell its size in bytes; raises InvalidDelta for any other."""
        return self._folder.open(name)

    def json(self, name: str, max_bytes: int = strict_json.MAX_BYTES) -> dict[str, Json]:
        """Read a JSON object; raises InvalidDelta if it is absent, too large or unsound."""
        with self._folder.open(name) as (file, _):
            _refuse_pointer(file, name)
            return strict_json.parse(file.read(max_bytes + 1), name, max_bytes)

    def text(self, name: str, max_bytes: int) -> str:
        """Read a text in UTF-8; raises InvalidDelta if it is absent, too large or no such text."""
        with self._folder.open(name) as (file, _):
            _refuse_pointer(file, name)
            data = file.read(max_bytes + 1)
        if len(data) > max_bytes:
            raise InvalidDelta(f"{name} is larger than {max_bytes} bytes.")
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise InvalidDelta(f"{name} is no text in UTF-8.") from error

    def tensors(self, name: str) -> dict[str, Tensor]:
        """Read a weights file, header first, into memory of each tensor's own.

        Raises InvalidDelta if it is absent, unsound or too large, UnsafeDelta if it is a pickle.
        """
        self.require_weights(name)
        with self._folder.open(name) as (file, size):
            if size > self.max_weights:
                raise InvalidDelta(
                    f"{name} has {size} bytes; at most {self.max_weights} are allowed."
                )
            _refuse_pointer(file, name)
            entries = read_header(file, size, name)
            if self._outline:
                return {key: entry.empty("meta") for key, entry in entries.items()}
            return _read(file, entries, name)

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


def _refuse_pointer(file: BufferedReader, name: str) -> None:
    if file.peek(len(_POINTER)).startswith(_POINTER):
        raise InvalidDelta(
            f"{name} is a Git LFS pointer, which stands for the file itself. Fetch that by "
            "`git lfs pull` in its repository, or download it from where it came, and give it."
        )


def _read(file: BufferedReader, entries: Mapping[str, Entry], name: str) -> dict[str, Tensor]:
    """Read tensors that follow one another from where the file stands, in the header's order."""
    tensors = {key: entry.empty("cpu") for key, entry in entries.items()}
    for key in sorted(entries, key=lambda key: entries[key].start):
        memory = tensors[key].reshape(-1).view(torch.uint8).numpy().data
        if file.readinto(memory) != len(memory):
            raise InvalidDelta(f"{name} was cut off while it was read.")
    return tensors
