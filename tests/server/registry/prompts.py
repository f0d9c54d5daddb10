"""Small deltas, told apart by their one number."""

from pathlib import Path

import torch

from deltas.base import BaseSpec
from deltas.delta import Delta, Part, TaskType
from deltas.formats import native


def write_prompt(directory: Path, base: BaseSpec, number: int) -> Path:
    """Write a prompt of one vector whose entries are `number`."""
    vectors = torch.full((1, base.hidden), float(number))
    part = Part("prompt", base.family.embedding, {"vectors": vectors})
    native.write(Delta(TaskType.GENERATE, (part,)), directory, base)
    return directory


def number_of(delta: Delta) -> int:
    """Tell which delta it is."""
    return int(delta.parts[0].tensors["vectors"][0, 0])
