"""The header of a safetensors file, which tells all about its tensors but their values.

Whatever is inconsistent is rejected here, as the format's own library would, and besides what is
merely absurd: duplicate names, empty or huge dimensions, headers that take seconds to parse.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO, Literal

import torch
from torch import Tensor

from deltas import strict_json
from deltas.errors import InvalidDelta, UnsafeDelta
from deltas.strict_json import Json

MAX_HEADER = 1024 * 1024
MAX_ENTRIES = 20_000
MAX_DIMENSIONS = 4
MAX_DIMENSION = 2**31 - 1

_LENGTH = 8
_NAME = re.compile(r"[A-Za-z0-9_.:\-]{1,256}")
_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}
_UNSAFE_STARTS = (b"\x80", b"PK\x03\x04", b"\x1f\x8b")


@dataclass(frozen=True, slots=True)
class Entry:
    """One tensor's place in a file: bytes [start, end) after the header."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int

    def empty(self, device: Literal["cpu", "meta"]) -> Tensor:
        """A tensor for it, whose memory, if the device has any, holds anything."""
        return torch.empty(self.shape, dtype=_DTYPES[self.dtype], device=device)


def read_header(file: BinaryIO, size: int, name: str) -> dict[str, Entry]:
    """Read the header of an open file of `size` bytes, and leave the file where the data begin.

    `name` is what messages call it. Raises InvalidDelta naming what is wrong, UnsafeDelta if the
    file is a pickle or an archive.
    """
    start = file.read(_LENGTH)
    length = int.from_bytes(start, "little")
    if length > MAX_HEADER or len(start) < _LENGTH:
        if start.startswith(_UNSAFE_STARTS):
            raise UnsafeDelta(f"{name} is a pickle or an archive, not safetensors.")
        raise InvalidDelta(
            f"{name} is no safetensors file, or its header exceeds {MAX_HEADER} bytes."
        )
    text = file.read(length)
    if len(text) != length or not text.startswith(b"{"):
        raise InvalidDelta(f"{name} is cut off within its header.")
    fields = strict_json.parse(text, f"The header of {name}", MAX_HEADER)
    _check_metadata(fields.pop("__metadata__", {}), name)
    if not 0 < len(fields) <= MAX_ENTRIES:
        raise InvalidDelta(f"{name} holds {len(fields)} tensors; 1 to {MAX_ENTRIES} are allowed.")
    entries = {key: _entry(key, value) for key, value in fields.items()}
    _check_layout(entries, size - _LENGTH - length, name)
    return entries


def _check_metadata(value: Json, name: str) -> None:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise InvalidDelta(f"The metadata of {name} must map names to texts.")


def _entry(key: str, value: Json) -> Entry:
    if not _NAME.fullmatch(key):
        raise InvalidDelta(f"{key[:64]!r} is no tensor name.")
    match value:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [start, end], **rest}:
            if dtype not in _DTYPES:
                known = ", ".join(_DTYPES)
                raise InvalidDelta(f"Tensor {key} has dtype {dtype[:16]!r}; known are {known}.")
            dimensions = tuple(_whole(item) for item in shape)
            entry = Entry(dtype, dimensions, _whole(start), _whole(end))
            if not rest and _is_sound(entry):
                return entry
        case _:
            pass
    raise InvalidDelta(f"Tensor {key} has an unsound shape or place in its file.")


def _whole(value: Json) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else -1


def _is_sound(entry: Entry) -> bool:
    if len(entry.shape) > MAX_DIMENSIONS:
        return False
    if not all(0 < dimension <= MAX_DIMENSION for dimension in entry.shape):
        return False
    size = math.prod(entry.shape) * _DTYPES[entry.dtype].itemsize
    return entry.start >= 0 and entry.end - entry.start == size


def _check_layout(entries: Mapping[str, Entry], size: int, name: str) -> None:
    """Tensors must follow one another without gap or overlap and fill the file."""
    place = 0
    for entry in sorted(entries.values(), key=lambda entry: entry.start):
        if entry.start != place:
            raise InvalidDelta(f"{name} has a gap or an overlap at byte {place} of its data.")
        place = entry.end
    if place != size:
        raise InvalidDelta(f"{name} is truncated or too long: {size} bytes of data, not {place}.")
