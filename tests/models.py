"""Tiny random models, one configuration per family: 2 layers of width 32, 4 heads, 128 tokens."""

from collections.abc import Callable
from typing import Any

import torch
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    BertConfig,
    DistilBertConfig,
    Gemma3TextConfig,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen3Config,
    RobertaConfig,
)

from deltas.families import FAMILIES
from tests.families import CONFIGS, CONTEXT, VOCABULARY

DECODERS = ("llama", "mistral", "qwen2", "qwen3", "gemma3_text", "gpt2")
ENCODERS = ("bert", "roberta", "distilbert")
"""One of each sort, on which everything is tried; test_families.py tries the others."""

_SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": CONTEXT,
    "pad_token_id": 0,
}
_DECODER: dict[str, Any] = _SIZES | {"num_key_value_heads": 2, "bos_token_id": 1, "eos_token_id": 2}


def _llama() -> PreTrainedConfig:
    return LlamaConfig(**_DECODER)


def _mistral() -> PreTrainedConfig:
    return MistralConfig(**_DECODER, sliding_window=None)


def _qwen2() -> PreTrainedConfig:
    return Qwen2Config(**_DECODER)


def _qwen3() -> PreTrainedConfig:
    return Qwen3Config(**_DECODER, head_dim=16)


def _gemma3_text() -> PreTrainedConfig:
    return Gemma3TextConfig(
        **_DECODER,
        head_dim=16,
        sliding_window=16,
        layer_types=["sliding_attention", "full_attention"],
    )


def _gpt2() -> PreTrainedConfig:
    return GPT2Config(
        vocab_size=VOCABULARY,
        n_embd=32,
        n_layer=2,
        n_head=4,
        n_positions=CONTEXT,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )


def _bert() -> PreTrainedConfig:
    return BertConfig(**_SIZES)


def _roberta() -> PreTrainedConfig:
    sizes: dict[str, Any] = {"max_position_embeddings": CONTEXT + 2, "pad_token_id": 1}
    return RobertaConfig(**(_SIZES | sizes))


def _distilbert() -> PreTrainedConfig:
    return DistilBertConfig(
        vocab_size=VOCABULARY,
        dim=32,
        hidden_dim=64,
        n_layers=2,
        n_heads=4,
        max_position_embeddings=CONTEXT,
        pad_token_id=0,
    )


_CONFIGS: dict[str, Callable[[], PreTrainedConfig]] = {
    "llama": _llama,
    "mistral": _mistral,
    "qwen2": _qwen2,
    "qwen3": _qwen3,
    "gemma3_text": _gemma3_text,
    "gpt2": _gpt2,
    "bert": _bert,
    "roberta": _roberta,
    "distilbert": _distilbert,
}


def tiny_config(family: str, **changes: Any) -> PreTrainedConfig:
    """A family's configuration, changed where asked."""
    config = (_CONFIGS | CONFIGS)[family]()
    for name, value in changes.items():
        setattr(config, name, value)
    return config


def tiny_model(family: str, seed: int = 0, **changes: Any) -> PreTrainedModel:
    """A base of a family: a language model, or an encoder without a head."""
    maker = AutoModelForCausalLM if FAMILIES[family].causal else AutoModel
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return seeded(maker.from_config(tiny_config(family, **changes)), seed)


def tiny_classifier(family: str, labels: int = 3, seed: int = 0) -> PreTrainedModel:
    """A sequence classifier over the same backbone weights as `tiny_model` of one seed."""
    config = tiny_config(family, num_labels=labels)
    return over(tiny_model(family, seed), AutoModelForSequenceClassification.from_config(config))


def tiny_tagger(family: str, labels: int = 3, seed: int = 0) -> PreTrainedModel:
    """A token classifier over the same backbone weights as `tiny_model` of one seed."""
    config = tiny_config(family, num_labels=labels)
    return over(tiny_model(family, seed), AutoModelForTokenClassification.from_config(config))


def seeded(model: PreTrainedModel, seed: int) -> PreTrainedModel:
    """Draw every parameter anew, so that nothing is constant, zero or symmetric; frozen."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.empty_like(parameter).normal_(generator=generator)
            if parameter.dim() == 1:
                parameter.add_(noise, alpha=0.1)
            else:
                parameter.copy_(noise).mul_(0.2)
            parameter.requires_grad_(False)
    return model.eval()


def over(base: PreTrainedModel, model: PreTrainedModel) -> PreTrainedModel:
    """A model with a head that is drawn at random, over a base's backbone weights."""
    seeded(model, seed=1)
    weights = base.base_model.state_dict()
    missing, _ = model.base_model.load_state_dict(weights, strict=False)
    # Some have a pooler for their classifiers alone.
    assert all(name.startswith("pooler.") for name in missing), missing
    return model
