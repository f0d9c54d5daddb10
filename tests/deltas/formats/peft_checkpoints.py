"""Checkpoints as the PEFT library itself writes them, over the tiny models."""

import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch
from peft import PeftConfig, PeftModel, get_peft_model
from torch import Tensor
from transformers import PreTrainedModel

from deltas.base import describe
from deltas.families import FAMILIES
from deltas.site import Role
from tests.models import tiny_classifier, tiny_model, tiny_tagger

LABELS = 3

TARGETS: dict[str, list[str]] = {
    **{
        family: ["q_proj", "v_proj", "down_proj"]
        for family in ("llama", "mistral", "qwen2", "qwen3", "gemma3_text")
    },
    "gpt2": ["c_attn", "mlp.c_proj"],
    "bert": ["query", "value", "output.dense"],
    "roberta": ["query", "value", "output.dense"],
    "distilbert": ["q_lin", "v_lin", "lin2"],
}

_HEADS: dict[str, Callable[[str, int], PreTrainedModel]] = {
    "SEQ_CLS": tiny_classifier,
    "TOKEN_CLS": tiny_tagger,
}


def tasks_of(family: str) -> tuple[str, ...]:
    """The PEFT task types that Transformers has a class for."""
    if not FAMILIES[family].causal:
        return ("SEQ_CLS", "TOKEN_CLS", "FEATURE_EXTRACTION")
    tagger = () if family == "gemma3_text" else ("TOKEN_CLS",)
    return ("CAUSAL_LM", "SEQ_CLS", *tagger)


def targets_of(family: str) -> list[str]:
    """Ends of module names: attention and the projection that closes the feed-forward block.

    Of a family that is not listed, all of a layer's.
    """
    return TARGETS.get(family) or _projections(family)


@cache
def _projections(family: str) -> list[str]:
    base = describe(tiny_model(family), family)
    layer = f"{base.layer_paths[0]}."
    names = (site.name for site in base.of_role(Role.LINEAR))
    return [name.removeprefix(layer) for name in names if name.startswith(layer)]


def feed_forward_of(family: str) -> list[str]:
    """The targets whose input IA3 scales."""
    return [targets_of(family)[-1]]


def measures_of(family: str) -> dict[str, Any]:
    """What PEFT cannot read off a configuration itself."""
    if family != "distilbert":
        return {}
    return {"token_dim": 32, "num_layers": 2, "num_attention_heads": 4}


def save(family: str, config: PeftConfig, directory: Path, labels: int = LABELS) -> PeftModel:
    """Wrap a tiny model, draw the trained tensors at random, save them; return the reference."""
    headed = _HEADS.get(str(config.task_type))
    return save_over(headed(family, labels) if headed else tiny_model(family), config, directory)


def save_over(model: PreTrainedModel, config: PeftConfig, directory: Path) -> PeftModel:
    """The same over a model that is there already."""
    with quietly():
        wrapped = get_peft_model(model, config).eval()
        train(wrapped)
        wrapped.save_pretrained(str(directory))
    return wrapped


@contextmanager
def quietly() -> Generator[None]:
    """Let PEFT warn as it likes, and draw what it adds from a generator that is seeded."""
    with warnings.catch_warnings(), torch.random.fork_rng():
        warnings.simplefilter("ignore")
        torch.manual_seed(7)
        yield


@torch.no_grad()
def train(model: PeftModel) -> None:
    """Change what would be trained, at random."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.add_(torch.randn_like(parameter), alpha=0.3)


@torch.no_grad()
def reference(model: PeftModel, ids: Tensor) -> Tensor:
    """The reference's logits or last hidden states [rows, …] or [labels] for one sequence."""
    output = model(input_ids=ids[None], attention_mask=torch.ones(1, len(ids)))
    return (output.logits if "logits" in output else output.last_hidden_state)[0]
