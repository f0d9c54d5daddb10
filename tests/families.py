"""Tiny configurations of the families that the tests of everything else leave out."""

from collections.abc import Callable
from typing import Any

import transformers
from transformers import PreTrainedConfig

VOCABULARY = 128
CONTEXT = 256

_SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": CONTEXT,
    "pad_token_id": 0,
}
_ENDS: dict[str, Any] = {"bos_token_id": 1, "eos_token_id": 2}
_GROUPED = _SIZES | _ENDS | {"num_key_value_heads": 2}
_WIDE = {"head_dim": 16}
_SLIDING = {"sliding_window": 16, "layer_types": ["sliding_attention", "full_attention"]}
_EXPERTS: dict[str, Any] = {"num_local_experts": 4, "num_experts_per_tok": 2}
_SMALL_EXPERTS: dict[str, Any] = {
    "moe_intermediate_size": 32,
    "num_experts": 4,
    "num_experts_per_tok": 2,
}
_GPT: dict[str, Any] = _ENDS | {
    "vocab_size": VOCABULARY,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": CONTEXT,
    "pad_token_id": 0,
}
_ROBERTA: dict[str, Any] = {"max_position_embeddings": CONTEXT + 2, "pad_token_id": 1}

_SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "albert": (
        "AlbertConfig",
        _SIZES
        | {"embedding_size": 16, "num_hidden_layers": 4}
        | {"num_hidden_groups": 2, "inner_group_num": 2},
    ),
    "apertus": (
        "ApertusConfig",
        _GROUPED | {"rope_parameters": {"rope_theta": 1e4, "rope_type": "default"}},
    ),
    "arcee": ("ArceeConfig", _GROUPED),
    "bloom": (
        "BloomConfig",
        _ENDS
        | {"vocab_size": VOCABULARY, "hidden_size": 32, "n_layer": 2, "n_head": 4}
        | {"seq_length": CONTEXT, "pad_token_id": 0},
    ),
    "camembert": ("CamembertConfig", _SIZES | _ROBERTA),
    "cohere": ("CohereConfig", _GROUPED | {"use_qk_norm": True, "logit_scale": 0.8}),
    "cohere2": ("Cohere2Config", _GROUPED | _SLIDING | {"logit_scale": 0.8}),
    "deberta": ("DebertaConfig", _SIZES | {"relative_attention": True, "pos_att_type": ["c2p"]}),
    "deberta-v2": (
        "DebertaV2Config",
        _SIZES
        | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 8}
        | {"share_att_key": True, "norm_rel_ebd": "layer_norm", "position_biased_input": False},
    ),
    "electra": ("ElectraConfig", _SIZES | {"embedding_size": 16}),
    "ernie": ("ErnieConfig", _SIZES),
    "ernie4_5": ("Ernie4_5Config", _GROUPED | _WIDE),
    "exaone4": ("Exaone4Config", _GROUPED | _SLIDING),
    "falcon": (
        "FalconConfig",
        _SIZES | _ENDS | {"alibi": True, "multi_query": False, "parallel_attn": False},
    ),
    "gemma": ("GemmaConfig", _GROUPED | _WIDE),
    "eurobert": ("EuroBertConfig", _GROUPED),
    "gemma2": ("Gemma2Config", _GROUPED | _WIDE | _SLIDING | {"query_pre_attn_scalar": 24}),
    "glm": ("GlmConfig", _GROUPED | _WIDE),
    "glm4": ("Glm4Config", _GROUPED | _WIDE),
    "gpt_bigcode": ("GPTBigCodeConfig", _GPT),
    "gpt_neox": ("GPTNeoXConfig", _SIZES | _ENDS),
    "gpt_oss": (
        "GptOssConfig",
        _GROUPED
        | _WIDE
        | _SLIDING
        | _EXPERTS
        | {"rope_parameters": {"rope_theta": 1e4, "rope_type": "default"}},
    ),
    "granite": (
        "GraniteConfig",
        _GROUPED
        | {
            "embedding_multiplier": 3.0,
            "residual_multiplier": 0.5,
            "attention_multiplier": 0.3,
            "logits_scaling": 4.0,
        },
    ),
    "granitemoe": ("GraniteMoeConfig", _GROUPED | _EXPERTS),
    "gte": ("GteConfig", _SIZES),
    "helium": ("HeliumConfig", _GROUPED | {"head_dim": 8}),
    "mixtral": ("MixtralConfig", _GROUPED | _EXPERTS),
    "modernbert": (
        "ModernBertConfig",
        _SIZES
        | {"local_attention": 16, "global_attn_every_n_layers": 2}
        | {f"{name}_token_id": 2 for name in ("cls", "sep", "bos", "eos")},
    ),
    "mpnet": ("MPNetConfig", _SIZES | _ROBERTA),
    "nemotron": ("NemotronConfig", _GROUPED),
    "nomic_bert": ("NomicBertConfig", _SIZES),
    "olmo": ("OlmoConfig", _GROUPED),
    "olmo2": ("Olmo2Config", _GROUPED),
    "olmo3": ("Olmo3Config", _GROUPED | _SLIDING),
    "olmoe": ("OlmoeConfig", _GROUPED | _SMALL_EXPERTS),
    "opt": ("OPTConfig", _SIZES | _ENDS | {"ffn_dim": 64, "word_embed_proj_dim": 32}),
    "phi": ("PhiConfig", _SIZES | _ENDS),
    "phi3": (
        "Phi3Config",
        _GROUPED
        | {
            "original_max_position_embeddings": 160,
            "rope_parameters": {
                "rope_type": "longrope",
                "rope_theta": 10000.0,
                "partial_rotary_factor": 0.5,
                "short_factor": [1.0, 1.5],
                "long_factor": [4.0, 6.0],
                "original_max_position_embeddings": 160,
            },
        },
    ),
    "qwen2_moe": (
        "Qwen2MoeConfig",
        _GROUPED | _SMALL_EXPERTS | {"shared_expert_intermediate_size": 32},
    ),
    "qwen3_moe": ("Qwen3MoeConfig", _GROUPED | _WIDE | _SMALL_EXPERTS),
    "seed_oss": ("SeedOssConfig", _GROUPED | _WIDE),
    "smollm3": ("SmolLM3Config", _GROUPED | {"no_rope_layers": [1, 0]}),
    "stablelm": ("StableLmConfig", _GROUPED),
    "starcoder2": ("Starcoder2Config", _GROUPED),
    "xlm-roberta": ("XLMRobertaConfig", _SIZES | _ROBERTA),
}


def _made(name: str, settings: dict[str, Any]) -> Callable[[], PreTrainedConfig]:
    return lambda: getattr(transformers, name)(**settings)


CONFIGS = {family: _made(*made) for family, made in _SETTINGS.items()}
