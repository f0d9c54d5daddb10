"""The peer that is Transformers with PEFT, in this process: as many tokens as were asked for."""

from pathlib import Path
from typing import Any

import pytest
import torch

from server.bench.lora import write_loras
from server.bench.runners.peft_batches import Batches
from server.bench.shapes import SHAPES, random_base, write_base
from server.bench.synthetic import projections
from tests.deltas.formats.peft_checkpoints import quietly
from tests.server.bench.test_layouts import TINY


@pytest.mark.parametrize("shape", ["decoder", "encoder-decoder"])
def test_a_batch_mixes_the_base_and_deltas(
    shape: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SHAPES, "tiny", TINY[shape])
    write_base("tiny", tmp_path / "base")
    base = random_base("tiny", torch.float32)
    targets = projections(base.spec, every=False)
    deltas = write_loras(base.model, base.spec, targets, 2, 2, tmp_path / "deltas")
    setup: dict[str, Any] = {
        "base": str(tmp_path / "base"),
        "dtype": "float32",
        "deltas": {name: str(directory) for name, directory in deltas.items()},
    }
    with quietly():
        batches = Batches(setup)
    for models in (["base"] * 3, ["base", *deltas]):
        job = {"models": models, "prompts": [[5, 6, 7, 8]] * 3}
        with quietly():
            arrivals = batches(job | {"concurrency": 3, "output_tokens": 4})
        assert [len(each) for each in arrivals] == [4, 4, 4]
