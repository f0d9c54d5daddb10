"""Writes tests/fixtures/adapterhub: what AdapterHub's library computes for its own adapters.

The library pins an older Transformers than the project, so it has an environment of its own:

    python -m venv /tmp/adapterhub
    /tmp/adapterhub/bin/pip install adapters==1.3.0 torch==2.13.0
    /tmp/adapterhub/bin/python tests/oracles/write_adapterhub.py

`<family>/` is the bare base, a tiny random model in the Transformers layout. `<family>/<method>/`
is an adapter as the library saves it, its pickle converted to safetensors, and beside it
expected.safetensors: for each input i, run alone, `ids.i` [n], `hidden.i` [n, hidden] (the last
hidden states) and, where the model generates, `logits.i` [n, vocabulary]. Where it reads a source,
`ids.i` are that, and the others are of the text `own.i` written for it.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import adapters
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    BartConfig,
    BertConfig,
    DistilBertConfig,
    Gemma3TextConfig,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    PretrainedConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen3Config,
    RobertaConfig,
    T5Config,
)

FIXTURES = Path(__file__).parents[1] / "fixtures" / "adapterhub"
NAME = "task"
LENGTHS = (3, 8, 13)
VOCABULARY = 128

SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 32,
    "pad_token_id": 0,
}
DECODER: dict[str, Any] = SIZES | {"num_key_value_heads": 2, "bos_token_id": 1, "eos_token_id": 2}

BASES: dict[str, Callable[[], PretrainedConfig]] = {
    "llama": lambda: LlamaConfig(**DECODER),
    "mistral": lambda: MistralConfig(**DECODER, sliding_window=None),
    "qwen2": lambda: Qwen2Config(**DECODER),
    "qwen3": lambda: Qwen3Config(**DECODER, head_dim=16),
    "gemma3_text": lambda: Gemma3TextConfig(**DECODER, head_dim=16),
    "gpt2": lambda: GPT2Config(
        vocab_size=VOCABULARY,
        n_embd=32,
        n_layer=2,
        n_head=4,
        n_positions=32,
        bos_token_id=1,
        eos_token_id=2,
    ),
    "bert": lambda: BertConfig(**SIZES),
    "roberta": lambda: RobertaConfig(**(SIZES | {"pad_token_id": 1})),
    "distilbert": lambda: DistilBertConfig(
        vocab_size=VOCABULARY,
        dim=32,
        hidden_dim=64,
        n_layers=2,
        n_heads=4,
        max_position_embeddings=32,
    ),
}
ENCODERS = ("bert", "roberta", "distilbert")
SOURCED: dict[str, Callable[[], PretrainedConfig]] = {
    "t5": lambda: T5Config(
        vocab_size=VOCABULARY,
        d_model=32,
        d_kv=16,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        decoder_start_token_id=0,
    ),
    "bart": lambda: BartConfig(
        vocab_size=VOCABULARY,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_position_embeddings=32,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=2,
        forced_eos_token_id=None,
    ),
}
BASES |= SOURCED

METHODS: dict[str, dict[str, Any]] = {
    "seq_bn": {"reduction_factor": 4},
    "double_seq_bn": {"reduction_factor": 4},
    "prefix_tuning": {"prefix_length": 5, "bottleneck_size": 8},
}


def main() -> None:
    """Write every family's base and adapters anew."""
    shutil.rmtree(FIXTURES, ignore_errors=True)
    for family in BASES:
        model = base(family)
        save_base(model, FIXTURES / family)
        adapters.init(model)
        for method, options in METHODS.items():
            if (family, method) == ("t5", "prefix_tuning"):
                # The library counts T5's distances from a row's place in the text to a key's place
                # behind the prefix, so that a text is a prefix's length away from itself.
                continue
            if model.supports_adapter(config := method_config(family, method, options)):
                write(model, config, FIXTURES / family / method)


def base(family: str) -> PreTrainedModel:
    """A random model whose weights float16 holds exactly, so that the files are half as large."""
    maker = AutoModel if family in ENCODERS else AutoModelForCausalLM
    maker = AutoModelForSeq2SeqLM if family in SOURCED else maker
    # The library's prefixes need eager attention: its SDPA masks miscount the prefix's columns.
    model = maker.from_config(BASES[family](), attn_implementation="eager").eval()
    randomise(model, torch.Generator().manual_seed(0))
    for parameter in model.parameters():
        parameter.data = parameter.data.half().float()
    return model


def randomise(module: nn.Module, generator: torch.Generator) -> None:
    """Draw every weight, so that none is constant, zero or near it."""
    with torch.no_grad():
        for parameter in module.parameters():
            noise = torch.empty_like(parameter).normal_(std=0.2, generator=generator)
            if parameter.dim() == 1:
                parameter.add_(noise)
            else:
                parameter.copy_(noise)


def save_base(model: PreTrainedModel, directory: Path) -> None:
    """Save the weights as float16, without what only generation reads."""
    halves = {name: tensor.half() for name, tensor in model.state_dict().items()}
    model.save_pretrained(directory, state_dict=halves)
    (directory / "generation_config.json").unlink(missing_ok=True)


def method_config(family: str, method: str, options: dict[str, Any]) -> adapters.AdapterConfig:
    """The library's own configuration of a method, but small."""
    if (family, method) == ("gemma3_text", "seq_bn"):
        # In models of its generic interface the library gives the last layer's norm to every
        # layer; only the last layer then computes what the method says.
        options = options | {"leave_out": [0]}
    return adapters.AdapterConfig.load(method, **options)


def write(model: PreTrainedModel, config: adapters.AdapterConfig, directory: Path) -> None:
    """Add an adapter, save it, and what the model computes with it."""
    bare = {id(parameter) for parameter in model.parameters()}
    model.add_adapter(NAME, config=config)
    added = nn.ParameterList(p for p in model.parameters() if id(p) not in bare)
    randomise(added, torch.Generator().manual_seed(1))
    model.set_active_adapters(NAME)
    with TemporaryDirectory() as folder:
        model.save_adapter(folder, NAME)
        directory.mkdir()
        shutil.copy(Path(folder) / "adapter_config.json", directory)
        weights = torch.load(Path(folder) / "pytorch_adapter.bin", weights_only=True)
    # The library writes pickles; its safetensors option fails where names share a tensor, as a
    # prefix's do. Converted, such a tensor is there once for each name.
    weights = {name: tensor.clone() for name, tensor in weights.items()}
    save_file(weights, directory / "adapter.safetensors")
    save_file(expected(model.eval()), directory / "expected.safetensors")
    model.delete_adapter(NAME)


@torch.no_grad()
def expected(model: PreTrainedModel) -> dict[str, Tensor]:
    """Run every input alone."""
    generator = torch.Generator().manual_seed(2)
    tensors: dict[str, Tensor] = {}
    for index, length in enumerate(LENGTHS):
        ids = torch.randint(3, VOCABULARY, (length,), generator=generator)
        tensors[f"ids.{index}"] = ids
        own: dict[str, Tensor] = {}
        if model.config.is_encoder_decoder:
            tensors[f"own.{index}"] = ids.roll(1)[: index + 2]
            own = {"decoder_input_ids": tensors[f"own.{index}"][None]}
        output = model(input_ids=ids[None], output_hidden_states=True, **own)
        states = output.decoder_hidden_states if own else output.hidden_states
        tensors[f"hidden.{index}"] = states[-1][0]
        if "logits" in output:
            tensors[f"logits.{index}"] = output.logits[0]
    return tensors


if __name__ == "__main__":
    main()
