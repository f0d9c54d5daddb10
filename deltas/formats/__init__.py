"""Dialects of checkpoints on disk, and the one way in: `load`.

A dialect is one file or package; naming it in DIALECTS is what registers it.
"""

import math
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import torch

from deltas.base import BaseSpec
from deltas.checkpoint import Checkpoint
from deltas.delta import Delta, Part
from deltas.errors import InvalidDelta
from deltas.folder import Folder
from deltas.formats.dialect import Dialect
from deltas.formats.native import Native
from deltas.formats.peft import Peft
from deltas.kinds import check
from deltas.strict_json import Json

__all__ = [
    "DIALECTS",
    "Dialect",
    "card_of",
    "dialect_of",
    "files_among",
    "files_of",
    "judge",
    "load",
    "outline",
]

DIALECTS: tuple[Dialect, ...] = (Native(), Peft())


def dialect_of(checkpoint: Checkpoint) -> Dialect:
    """Tell a directory's dialect by its files.

    Raises InvalidDelta naming the files looked for, UnsafeDelta if there are only unsafe ones.
    """
    for dialect in DIALECTS:
        if dialect.recognises(checkpoint):
            return dialect
    checkpoint.refuse_unsafe()
    markers = ", ".join(sorted(name for dialect in DIALECTS for name in dialect.markers))
    raise InvalidDelta(f"No delta was found: none of {markers} is there.")


def files_of(directory: Path | Folder, *, judged: bool = False) -> frozenset[str]:
    """The names of the files that make up the delta in a directory; the others are never opened.

    With `judged`, those as well that are not kept but must agree with the base.
    Raises InvalidDelta if there is none, UnsafeDelta if its weights are a pickle or an archive.
    """
    checkpoint = Checkpoint(directory)
    dialect = dialect_of(checkpoint)
    names = dialect.files & checkpoint.names
    if not any(name.endswith(".safetensors") for name in names):
        checkpoint.refuse_unsafe()
    return names | (dialect.judged & checkpoint.names) if judged else names


def files_among(names: Collection[str]) -> frozenset[str]:
    """Those of some names that would make up a delta in a directory that holds just these."""
    for dialect in DIALECTS:
        if not dialect.markers.isdisjoint(names):
            return dialect.files.intersection(names)
    return frozenset()


def card_of(directory: Path | Folder) -> dict[str, Json]:
    """What a delta's own files say about how it came about.

    Raises InvalidDelta if there is no delta or its JSON is unsound.
    """
    checkpoint = Checkpoint(directory)
    return dialect_of(checkpoint).card(checkpoint)


def judge(directory: Path | Folder, base: BaseSpec) -> None:
    """Hold what lies beside a delta, and is not kept with it, against the base.

    Raises DeltaError with the reason.
    """
    checkpoint = Checkpoint(directory)
    dialect_of(checkpoint).judge(checkpoint, base)


def outline(directory: Path | Folder, base: BaseSpec, dtype: torch.dtype = torch.float32) -> Delta:
    """The delta that `load` would read, told by its headers: its tensors have no memory.

    Raises what `load` raises, but for what is wrong with values.
    """
    delta = _read(Checkpoint(directory, outline=True), base)
    return replace(delta, parts=tuple(_cast(part, dtype) for part in delta.parts))


def load(directory: Path | Folder, base: BaseSpec, dtype: torch.dtype = torch.float32) -> Delta:
    """Read a delta of any dialect, check it against the base and cast it to `dtype`.

    Raises DeltaError with the reason; nothing of the directory is trusted.
    """
    delta = _read(Checkpoint(directory), base)
    parts, cast = list(delta.parts), list[Part]()
    delta = replace(delta, parts=())
    # What has been cast is let go of at once: a large delta is not held twice.
    while parts:
        part = _cast(parts.pop(0), dtype)
        cast.append(_finite(part))
    return replace(delta, parts=tuple(cast))


def _read(checkpoint: Checkpoint, base: BaseSpec) -> Delta:
    delta = dialect_of(checkpoint).read(checkpoint, base)
    check(delta, base)
    return delta


def _cast(part: Part, dtype: torch.dtype) -> Part:
    return part.over([tensor.to(dtype) for tensor in part.memory])


def _finite(part: Part) -> Part:
    # After the cast: a weight may be finite in float32 and infinite in float16.
    for name, tensor in part.tensors.items():
        # The least and the greatest are NaN where any value is: one pass, and no copy.
        if not all(math.isfinite(float(value)) for value in tensor.aminmax()):
            raise InvalidDelta(
                f"Tensor '{name}' of {part.kind} at '{part.site}' is not finite in {tensor.dtype}."
            )
    return part
