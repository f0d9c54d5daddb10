"""Tiny encoder-decoders, one configuration per family: 2 layers each of width 32, 4 heads."""

from typing import Any

import transformers
from transformers import (
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    PreTrainedConfig,
    PreTrainedModel,
)

from tests.families import CONTEXT, VOCABULARY
from tests.models import over, seeded

_IDS: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 2,
    "forced_eos_token_id": None,
    "forced_bos_token_id": None,
}
_T5 = _IDS | {
    "d_model": 32,
    "d_kv": 16,
    "d_ff": 64,
    "num_layers": 2,
    "num_decoder_layers": 2,
    "num_heads": 4,
    "decoder_start_token_id": 0,
}
_BART = _IDS | {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "max_position_embeddings": CONTEXT,
}
_SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "t5": ("T5Config", _T5),
    "mt5": ("MT5Config", _T5 | {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}),
    "bart": ("BartConfig", _BART | {"scale_embedding": True}),
    "mbart": ("MBartConfig", _BART),
    "marian": ("MarianConfig", _BART),
    "pegasus": ("PegasusConfig", _BART),
    "blenderbot-small": ("BlenderbotSmallConfig", _BART),
    "m2m_100": ("M2M100Config", _BART),
}
FAMILIES = tuple(_SETTINGS)


def tiny_encoder_decoder(family: str, **changes: Any) -> PreTrainedModel:
    """A base of a family, whose every parameter is drawn at random."""
    return seeded(AutoModelForSeq2SeqLM.from_config(_config(family, changes)), seed=0)


def tiny_source_classifier(family: str, labels: int) -> PreTrainedModel:
    """A classifier of sources over the same backbone weights."""
    model = AutoModelForSequenceClassification.from_config(_config(family, {"num_labels": labels}))
    return over(tiny_encoder_decoder(family), model)


def _config(family: str, changes: dict[str, Any]) -> PreTrainedConfig:
    name, settings = _SETTINGS[family]
    return getattr(transformers, name)(**settings | changes)
