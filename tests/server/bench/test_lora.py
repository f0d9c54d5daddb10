"""The PEFT directories of a comparison: PEFT and Polydelta read one delta from them."""

import warnings
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from deltas.base import describe
from deltas.formats import load
from server.bench.lora import write_loras
from server.bench.synthetic import projections
from tests.encoder_decoders import tiny_encoder_decoder

EVERY = ("down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj")


@pytest.mark.parametrize("every", [False, True])
def test_both_sides_read_the_same_tensors(decoder: Path, tmp_path: Path, every: bool) -> None:
    model = AutoModelForCausalLM.from_pretrained(decoder)
    base = describe(model, "tiny")
    targets = projections(base, every=every)
    assert targets == (EVERY if every else ("k_proj", "o_proj", "q_proj", "v_proj"))
    written = write_loras(model, base, targets, 4, 2, tmp_path)
    assert list(written) == ["lora-000", "lora-001"]
    delta = load(written["lora-001"], base)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = PeftModel.from_pretrained(model, str(written["lora-001"])).state_dict()
    assert len(delta.parts) == 2 * len(targets)
    for part in delta.parts:
        for name, tensor in part.tensors.items():
            key = f"base_model.model.model.{part.site}.lora_{name.upper()}.default.weight"
            torch.testing.assert_close(tensor, theirs[key])


def test_both_sides_read_the_same_tensors_of_an_encoder_decoder(tmp_path: Path) -> None:
    model = tiny_encoder_decoder("t5")
    base = describe(model, "tiny")
    (directory,) = write_loras(model, base, projections(base, every=False), 4, 1, tmp_path).values()
    delta = load(directory, base)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = PeftModel.from_pretrained(model, str(directory)).state_dict()
    # Four projections of two layers: attention of both stacks, and cross-attention.
    assert len(delta.parts) == 3 * 4 * 2
    for part in delta.parts:
        for name, tensor in part.tensors.items():
            key = f"base_model.model.{part.site}.lora_{name.upper()}.default.weight"
            torch.testing.assert_close(tensor, theirs[key])
