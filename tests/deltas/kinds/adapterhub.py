"""What AdapterHub's library computed, as tests/oracles/write_adapterhub.py wrote it down."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    PreTrainedModel,
)

from deltas.families import FAMILIES

FIXTURES = Path(__file__).parents[2] / "fixtures" / "adapterhub"


@dataclass(frozen=True)
class Example:
    """One input [n] and what it gives: hidden states [n, hidden], a decoder's logits too.

    Where that is a source, what is given are the text `own` [m] and what is made of that.
    """

    ids: Tensor
    hidden: Tensor
    logits: Tensor | None
    own: Tensor | None = None


def base_model(family: str) -> PreTrainedModel:
    """The base that the library's adapters act on."""
    maker = AutoModelForCausalLM if FAMILIES[family].causal else AutoModel
    maker = maker if FAMILIES[family].encoder is None else AutoModelForSeq2SeqLM
    return maker.from_pretrained(FIXTURES / family, dtype=torch.float32).eval()


def config(family: str, method: str) -> dict[str, Any]:
    """An adapter's own settings."""
    return json.loads((FIXTURES / family / method / "adapter_config.json").read_text())["config"]


def weights(family: str, method: str) -> dict[str, Tensor]:
    """An adapter's tensors under the library's names."""
    return load_file(FIXTURES / family / method / "adapter.safetensors")


def examples(family: str, method: str) -> Iterable[Example]:
    """Inputs of different lengths."""
    found = load_file(FIXTURES / family / method / "expected.safetensors")
    count = sum(name.startswith("ids.") for name in found)
    for index in range(count):
        logits, own = found.get(f"logits.{index}"), found.get(f"own.{index}")
        yield Example(found[f"ids.{index}"], found[f"hidden.{index}"], logits, own)
