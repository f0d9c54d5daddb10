"""A built library: its operations as it describes them itself, and what it was built from."""

import ctypes
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

DTYPES = {torch.float32: "float32", torch.bfloat16: "bfloat16"}

_TYPES = {"p": ctypes.c_void_p, "i": ctypes.c_int64, "f": ctypes.c_float}


class _Line(ctypes.Structure):
    """A line of the library's table; operations.h says what each is."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("arguments", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("replay", ctypes.c_void_p),
    )


@dataclass(frozen=True, slots=True)
class Operation:
    """What can be called, or recorded under its number.

    `arguments` has a letter for each: p for an address, i for an integer, f for a float, and a
    capital where a recording leaves it to the step. `short` keeps the interpreter's lock, `long`
    does not.
    """

    number: int
    arguments: str
    short: Callable[..., Any]
    long: Callable[..., Any]


class Library:
    """The library in one file."""

    def __init__(self, path: Path) -> None:
        self._library = ctypes.CDLL(str(path))

    @property
    def sources(self) -> str | None:
        """The digest of what it was built from; None if it is from before there was any."""
        function = getattr(self._library, "polydelta_sources", None)
        if function is None:
            return None
        function.restype = ctypes.c_char_p
        return function().decode()

    def operations(self, dtype: torch.dtype) -> dict[str, Operation]:
        """All operations over numbers of one type, by name."""
        return dict(_operations(self._table(dtype)))

    def replay(self, dtype: torch.dtype) -> Callable[[int, int, int, int], None]:
        """What makes recorded calls: given where they begin and end, a step, and seconds."""
        function = self._library.polydelta_replay
        function.restype, function.argtypes = None, [ctypes.c_void_p] * 5
        return partial(function, self._table(dtype))

    def use_threads(self, threads: int) -> None:
        """Let the calling thread compute with so many."""
        self._library.polydelta_use_threads(ctypes.c_int64(threads))

    def _table(self, dtype: torch.dtype) -> int:
        function = getattr(self._library, f"polydelta_operations_{DTYPES[dtype]}")
        function.restype = ctypes.c_void_p
        return function()


def _operations(table: int) -> Iterator[tuple[str, Operation]]:
    lines = ctypes.cast(table, ctypes.POINTER(_Line))
    number = 0
    while (line := lines[number]).name:
        arguments = line.arguments.decode()
        # Only a measure returns anything.
        result = None if line.replay else ctypes.c_int64
        types = [_TYPES[letter] for letter in arguments.lower()]
        short, long = (
            make(result, *types)(line.function) for make in (ctypes.PYFUNCTYPE, ctypes.CFUNCTYPE)
        )
        yield line.name.decode(), Operation(number, arguments, short, long)
        number += 1
