"""Synthetic LoRAs as PEFT directories: the very files that every side of a comparison loads."""

import json
from pathlib import Path

import safetensors.torch

from deltas.base import BaseSpec
from deltas.delta import Delta
from deltas.formats.peft import CONFIG, WEIGHTS
from server.bench.synthetic import random_delta


def write_loras(
    base: BaseSpec, targets: tuple[str, ...], rank: int, count: int, folder: Path
) -> dict[str, Path]:
    """Write `count` LoRAs on the projections that end in `targets`; gives directories by name."""
    written = {f"lora-{index:03}": folder / f"lora-{index:03}" for index in range(count)}
    for seed, directory in enumerate(written.values()):
        _write(random_delta(base, "lora", seed, targets, rank), base, targets, rank, directory)
    return written


def _write(
    delta: Delta, base: BaseSpec, targets: tuple[str, ...], rank: int, directory: Path
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
    prefix = ".".join(("base_model.model", *base.family.prefixes[:1]))
    tensors = {
        f"{prefix}.{part.site}.lora_{name.upper()}.weight": tensor.contiguous()
        for part in delta.parts
        for name, tensor in part.tensors.items()
    }
    directory.mkdir(parents=True)
    safetensors.torch.save_file(tensors, directory / WEIGHTS, {"format": "pt"})
    (directory / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
