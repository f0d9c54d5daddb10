"""An engine from its settings: what a delta may take is what this server has."""

from pathlib import Path

import pytest
import torch

from deltas.base import BaseSpec
from deltas.delta import Delta, Part, TaskType
from deltas.errors import InvalidDelta
from deltas.formats import native
from server.build import build_engine
from server.errors import InvalidSettings
from server.registry.names import shared
from server.settings import Settings

LEAST = 64
"""Tokens of the smallest cache of keys and values."""


def prompt(base: BaseSpec, length: int, directory: Path) -> Path:
    vectors = torch.zeros(length, base.hidden)
    part = Part("prompt", base.family.embedding, {"vectors": vectors})
    native.write(Delta(TaskType.GENERATE, (part,)), directory, base)
    return directory


def test_virtual_tokens_leave_room_in_the_cache_that_there_is(
    decoder: Path, tmp_path: Path
) -> None:
    settings = Settings(
        base=str(decoder), store=tmp_path / "store", kv_cache_gb=0, dtype="float32", threads=1
    )
    engine = build_engine(settings)
    assert engine.context == LEAST
    spec = engine.base.spec
    with pytest.raises(InvalidDelta, match=f"leave 1 of the {LEAST}"):
        engine.registry.put(shared("long"), prompt(spec, LEAST - 1, tmp_path / "long"))
    with pytest.raises(InvalidDelta, match=f"leave 0 of the {LEAST}"):
        engine.registry.put(shared("longer"), prompt(spec, 2 * LEAST, tmp_path / "longer"))
    task, _ = engine.registry.put(shared("short"), prompt(spec, LEAST - 2, tmp_path / "short"))
    assert engine.context - task.active.extent.rows == 2
    with pytest.raises(InvalidSettings, match=r"'long' cannot be served: .* leave 1 of"):
        build_engine(settings.model_copy(update={"tasks": {"long": str(tmp_path / "long")}}))
    engine.registry.close()
