"""The files of a checkpoint, in whichever form the caller has them."""

from collections.abc import Mapping
from contextlib import ExitStack
from os import PathLike
from pathlib import Path
from typing import BinaryIO

from .inputs import Contents, Source

Files = Mapping[str, Path | BinaryIO | bytes]

_UNNAMED = "adapter_model.safetensors"


def files_of(source: Source) -> Files:
    """Return what is to be sent, by name; raise OSError where nothing is there.

    A directory gives the files at its top, less the hidden ones.
    """
    if isinstance(source, Mapping):
        if not source:
            raise ValueError("no files in the mapping")
        return {name: _held(contents) for name, contents in source.items()}
    if isinstance(source, str | PathLike):
        path = Path(source).expanduser()
        return _inside(path) if path.is_dir() else {path.name: _there(path)}
    name = getattr(source, "name", None)
    return {Path(name).name if isinstance(name, str) else _UNNAMED: _held(source)}


def opened(files: Files, stack: ExitStack) -> list[tuple[str, tuple[str, BinaryIO | bytes]]]:
    """Return the parts of a multipart body, open until the stack is left."""
    return [
        (name, (name, stack.enter_context(file.open("rb")) if isinstance(file, Path) else file))
        for name, file in files.items()
    ]


def _inside(directory: Path) -> Files:
    found = {
        path.name: path
        for path in sorted(directory.iterdir())
        if path.is_file() and not path.name.startswith(".")
    }
    if not found:
        raise FileNotFoundError(f"no files in {directory}")
    return found


def _held(contents: Contents) -> Path | BinaryIO | bytes:
    if isinstance(contents, bytes):
        return contents
    if isinstance(contents, PathLike):
        return _there(Path(contents).expanduser())
    # What cannot be read twice could not be sent again after a broken connection.
    return contents if contents.seekable() else contents.read()


def _there(path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"neither a file nor a directory: {path}")
    return path
