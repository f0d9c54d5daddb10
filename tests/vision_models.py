"""Tiny models that read more than text, one configuration per family, and PEFT's names of old."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import transformers
from transformers import AutoModelForMultimodalLM, PreTrainedConfig, PreTrainedModel

from tests.bases import VOCABULARY, byte_tokenizer
from tests.families import CONTEXT
from tests.models import seeded

_TEXT: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_WIDE = {"head_dim": 16}
_SIGHT: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}
_DEEP: dict[str, Any] = {
    "depth": 1,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_heads": 2,
    "out_hidden_size": 32,
}
_SLIDING = {"sliding_window": 16, "layer_types": ["sliding_attention", "full_attention"]}


def _rotated(*sections: int) -> dict[str, Any]:
    """Heads whose parts turn by time, height and width."""
    rotation = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": list(sections)}
    return {"rope_parameters": rotation}


_SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "gemma3": (
        "Gemma3",
        {
            "text_config": _TEXT | _WIDE | _SLIDING,
            "vision_config": _SIGHT,
            "mm_tokens_per_image": 4,
        },
    ),
    "idefics3": (
        "Idefics3",
        {
            "text_config": _TEXT | {"model_type": "llama"},
            "vision_config": _SIGHT,
            "pad_token_id": 0,
        },
    ),
    "internvl": (
        "InternVL",
        {
            "text_config": _TEXT | {"model_type": "qwen2"},
            "vision_config": _SIGHT | {"image_size": [28, 28], "patch_size": [14, 14]},
        },
    ),
    "llava": (
        "Llava",
        {
            "text_config": _TEXT | {"model_type": "llama"},
            "vision_config": _SIGHT | {"model_type": "clip_vision_model", "projection_dim": 32},
        },
    ),
    "mistral3": (
        "Mistral3",
        {
            "text_config": _TEXT | {"model_type": "mistral"},
            "vision_config": _SIGHT | {"model_type": "pixtral"},
        },
    ),
    "qwen2_vl": (
        "Qwen2VL",
        {
            "text_config": _TEXT | _rotated(1, 1, 2),
            "vision_config": {"depth": 1, "embed_dim": 32, "hidden_size": 32, "num_heads": 2},
        },
    ),
    "qwen2_5_vl": (
        "Qwen2_5_VL",
        {"text_config": _TEXT | _rotated(1, 1, 2), "vision_config": _DEEP},
    ),
    "qwen3_vl": (
        "Qwen3VL",
        {
            "text_config": _TEXT | _WIDE | _rotated(4, 2, 2),
            "vision_config": _DEEP | {"deepstack_visual_indexes": [0]},
        },
    ),
}
FAMILIES = tuple(_SETTINGS)

OLDER: dict[str, Callable[[str], str]] = {
    "llava": lambda name: (
        name.replace("model.model.language_model.", "model.language_model.model.")
        .replace("model.model.vision_tower.", "model.vision_tower.")
        .replace("model.lm_head.", "model.language_model.lm_head.")
    ),
    "qwen2_vl": lambda name: name.replace("model.model.language_model.", "model.model.").replace(
        "model.model.visual.", "model.visual."
    ),
}
"""What PEFT called a tensor, by what it calls it, in the models of Transformers before 4.52."""


def tiny_vision_model(family: str) -> PreTrainedModel:
    """A whole model of a family, whose every parameter is drawn at random."""
    name, settings = _SETTINGS[family]
    config: PreTrainedConfig = getattr(transformers, f"{name}Config")(**settings)
    return seeded(AutoModelForMultimodalLM.from_config(config), seed=0)


def save_vision_model(family: str, directory: Path) -> Path:
    """Write a whole model in the Transformers layout, with a tokenizer that knows every byte."""
    tiny_vision_model(family).save_pretrained(directory)
    byte_tokenizer(chat=True).save_pretrained(directory)
    return directory
