"""Synthetic LoRAs as PEFT directories: the very files that every side of a comparison loads."""

import json
from pathlib import Path

import safetensors.torch
from transformers import PreTrainedModel

from deltas.base import BaseSpec
from deltas.delta import Delta
from deltas.formats.peft import CONFIG, WEIGHTS
from server.bench.synthetic import random_delta


def write_loras(
    model: PreTrainedModel,
    base: BaseSpec,
    targets: tuple[str, ...],
    rank: int,
    count: int,
    folder: Path,
) -> dict[str, Path]:
    """Write `count` LoRAs on a model's projections that end in `targets`; directories by name."""
    # An encoder-decoder that writes is its own backbone.
    named = model.named_modules(prefix="base_model.model")
    backbone = next(name for name, module in named if module is model.base_model)
    written = {f"lora-{index:03}": folder / f"lora-{index:03}" for index in range(count)}
    for seed, directory in enumerate(written.values()):
        delta = random_delta(base, "lora", seed, targets, rank)
        _write(delta, backbone, base, targets, rank, directory)
    return written


def _write(
    delta: Delta,
    backbone: str,
    base: BaseSpec,
    targets: tuple[str, ...],
    rank: int,
    directory: Path,
) -> None:
    # The scale is folded into B, so that alpha is the rank.
    config = {
        "peft_type": "LORA",
        "task_type": "SEQ_2_SEQ_LM" if base.family.encoder else "CAUSAL_LM",
        "base_model_name_or_path": base.name,
        "inference_mode": True,
        "target_modules": list(targets),
        "r": rank,
        "lora_alpha": rank,
        "lora_dropout": 0.0,
        "bias": "none",
    }
    tensors = {
        f"{backbone}.{part.site}.lora_{name.upper()}.weight": tensor.contiguous()
        for part in delta.parts
        for name, tensor in part.tensors.items()
    }
    directory.mkdir(parents=True)
    safetensors.torch.save_file(tensors, directory / WEIGHTS, {"format": "pt"})
    (directory / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
