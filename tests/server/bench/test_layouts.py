"""Layouts: random bases of shapes, measured by kernels and by modules, or written down."""

from pathlib import Path
from typing import Any

import pytest
import torch

from server.bench.errors import BenchError
from server.bench.layouts import layouts
from server.bench.shapes import SHAPES, random_base, write_base
from server.model.base import load_base
from tests.kernels import needs_kernels

_IDS: dict[str, Any] = {"vocab_size": 128, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
_SIZES = _IDS | {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
}
_READING = _IDS | {
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 64,
    "num_layers": 1,
    "num_heads": 4,
    "decoder_start_token_id": 0,
}
TINY = {"decoder": ("LlamaConfig", _SIZES), "encoder": ("BertConfig", _SIZES)}
TINY |= {"encoder-decoder": ("T5Config", _READING)}


@pytest.fixture(params=TINY)
def tiny(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A shape small enough for a test."""
    monkeypatch.setitem(SHAPES, "tiny", TINY[request.param])
    return "tiny"


@needs_kernels
def test_each_number_of_sequences_is_measured(tiny: str) -> None:
    found = list(layouts([tiny], torch.float32, 1, [1, 3], steps=2))
    assert [(each.shape, each.sequences) for each in found] == [("tiny", 1), ("tiny", 3)]
    assert all(each.faster > 0 and each.kept > 0 for each in found)


def test_a_shape_is_written_as_it_is_measured(tiny: str, tmp_path: Path) -> None:
    write_base(tiny, tmp_path)
    written = load_base("written", tmp_path, torch.float32, torch.device("cpu")).spec
    assert written.fingerprint == random_base(tiny, torch.float32).spec.fingerprint


def test_a_shape_that_is_not_there() -> None:
    with pytest.raises(BenchError, match=r"choose from llama, .*t5-small"):
        random_base("t6", torch.float32)
