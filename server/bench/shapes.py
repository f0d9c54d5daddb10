"""Shapes: bases of random weights, one for each layout that the kernels compute.

How fast a base is does not depend on what its weights are.
"""

from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from deltas.base import describe
from deltas.families import family_of
from server.bench.errors import BenchError
from server.model.base import Base

_VOCABULARY = 32128
_IDS: dict[str, Any] = {
    "vocab_size": _VOCABULARY,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_SMALL = _IDS | {
    "hidden_size": 512,
    "intermediate_size": 2048,
    "num_hidden_layers": 6,
    "num_attention_heads": 8,
    "max_position_embeddings": 1024,
}
_START: dict[str, Any] = {"decoder_start_token_id": 0}
_T5 = {"d_model": 512, "d_kv": 64, "d_ff": 2048, "num_layers": 6, "num_heads": 8}
_OPUS = {
    f"{stack}_{name}": value
    for stack in ("encoder", "decoder")
    for name, value in (("layers", 6), ("attention_heads", 8), ("ffn_dim", 2048))
}

SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaConfig", _SMALL),
    "starcoder2": ("Starcoder2Config", _SMALL | {"num_key_value_heads": 2}),
    "gpt2": ("GPT2Config", _IDS),
    "phi3": ("Phi3Config", _SMALL),
    "phi": ("PhiConfig", _SMALL),
    "cohere2": ("Cohere2Config", _SMALL),
    "gpt_neox": ("GPTNeoXConfig", _SMALL),
    "falcon": ("FalconConfig", _SMALL),
    "bloom": ("BloomConfig", _IDS | {"hidden_size": 512, "n_layer": 6, "n_head": 8}),
    "bert": ("BertConfig", _SMALL | {"max_position_embeddings": 512}),
    "modernbert": (
        "ModernBertConfig",
        _IDS | {"vocab_size": 50368, "cls_token_id": 1, "sep_token_id": 2},
    ),
    "t5-small": ("T5Config", _IDS | _START | _T5),
    "marian": ("MarianConfig", _IDS | _START | _OPUS | {"d_model": 512}),
}
"""Configurations by name; what they leave out is Transformers' default, a base of that name."""


def random_base(name: str, dtype: torch.dtype) -> Base:
    """A base of a shape.

    Raises BenchError naming the shapes there are.
    """
    model = _model(name)
    for parameter in model.parameters():
        # As a base is loaded: positions keep all their digits.
        parameter.data = parameter.data.to(dtype)
    return Base(describe(model, name), model, _tokenizer(model.config.vocab_size))


def write_base(name: str, directory: Path) -> None:
    """Write a base of a shape, in float32, as a directory that a server can be started with.

    Raises BenchError as `random_base` does.
    """
    model = _model(name)
    model.save_pretrained(directory)
    _tokenizer(model.config.vocab_size).save_pretrained(directory)


def _model(name: str) -> PreTrainedModel:
    if name not in SHAPES:
        raise BenchError(f"There is no shape '{name}'; choose from {', '.join(SHAPES)}.")
    made, settings = SHAPES[name]
    config: PreTrainedConfig = getattr(transformers, made)(**settings)
    family = family_of(config)
    maker = AutoModelForCausalLM if family.causal else AutoModel
    maker = AutoModelForSeq2SeqLM if family.encoder is not None else maker
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return maker.from_config(config).eval().requires_grad_(False)


def _tokenizer(vocabulary: int) -> PreTrainedTokenizerFast:
    special = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    words = {word: number for number, word in enumerate(special.values())}
    words |= {f"w{number}": number for number in range(len(words), vocabulary)}
    tokenizer = Tokenizer(models.WordLevel(words, special["unk_token"]))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)
