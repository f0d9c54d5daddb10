"""The base: one frozen Transformers model, its tokenizer and what deltas may know of it."""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMultimodalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    ByT5Tokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from deltas.base import BaseSpec, describe
from deltas.errors import UnsupportedBase
from deltas.families import FAMILIES, Family, family_of
from deltas.families.derive import check_sums, derive
from deltas.modules import freeze
from deltas.tokenizer import TokenizerSpec
from server.model.byte_tokenizer import fast
from server.model.language_model import language_model_of, processor_template, text_config
from server.model.sentence import Prompts, read_embedding, read_prompts

_log = logging.getLogger(__name__)

_SHOWN = 5


@dataclass(frozen=True)
class Base:
    """A frozen model ready to serve; `generates` tells decoders from encoders.

    `quantize` asks for its projections rounded to 8 bits. `revision` is the commit of a hub that
    its files are of, empty if they are of none. `prompts` come before texts to embed.
    """

    spec: BaseSpec
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    quantize: bool = False
    revision: str = ""
    prompts: Prompts = field(default_factory=Prompts)

    @property
    def name(self) -> str:
        """The name that the base was asked for by."""
        return self.spec.name

    @property
    def generates(self) -> bool:
        """Whether the base writes text."""
        return self.spec.family.causal

    @property
    def reads_sources(self) -> bool:
        """Whether what it writes is a text of its own, for another that an encoder reads."""
        return self.spec.family.encoder is not None

    @property
    def device(self) -> torch.device:
        """Where the base's weights are."""
        return self.model.device

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the base's weights."""
        return self.model.dtype

    @property
    def end_tokens(self) -> frozenset[int]:
        """The tokens that end a generation."""
        generation = getattr(self.model, "generation_config", None)  # an encoder has none
        listed: object = getattr(generation, "eos_token_id", None)
        named: object = self.tokenizer.eos_token_id
        found = [*listed, named] if isinstance(listed, list) else [listed, named]
        return frozenset(token for token in found if isinstance(token, int))

    @property
    def start_tokens(self) -> tuple[int, ...]:
        """The tokens that a text begins with which is written for a source; else none."""
        if not self.reads_sources:
            return ()
        said, config = self.model.generation_config, self.model.config
        places = ((said, "decoder_start_token_id"), (config, "decoder_start_token_id"))
        starts = [getattr(place, name, None) for place, name in (*places, (said, "bos_token_id"))]
        start = next((each for each in starts if isinstance(each, int)), 0)
        forced: object = getattr(said, "forced_bos_token_id", None)
        return (start, forced) if isinstance(forced, int) else (start,)

    @property
    def lm_head(self) -> nn.Module:
        """The projection of hidden states to logits; a decoder's alone."""
        head = self.model.get_output_embeddings()
        if not isinstance(head, nn.Module):
            raise UnsupportedBase(f"The base '{self.name}' has no LM head; serve a decoder.")
        return head


def _loader_of(
    family: Family,
) -> type[AutoModel | AutoModelForCausalLM | AutoModelForSeq2SeqLM]:
    if family.encoder is not None:
        return AutoModelForSeq2SeqLM
    return AutoModelForCausalLM if family.causal else AutoModel


def load_base(
    name: str,
    directory: Path | str,
    dtype: torch.dtype,
    device: torch.device,
    family: Family | None = None,
) -> Base:
    """Load a base from a directory in the Transformers layout, safetensors alone.

    It is of this family or of a known one; of a model that reads more than text the language model
    alone is kept. Raises UnsupportedBase if its family or its tokenizer cannot be served.
    """
    whole: PreTrainedConfig = AutoConfig.from_pretrained(directory)
    config = text_config(whole)
    known = family or FAMILIES.get(config.model_type)
    family = known or _derived(config)
    loader = _loader_of(family) if config is whole else AutoModelForMultimodalLM
    # Fingerprints are taken in bfloat16: values rounded to float16 before would give others.
    exact = torch.float32 if dtype is torch.float16 else dtype
    loaded: Any = loader.from_pretrained(
        directory, dtype=exact, use_safetensors=True, output_loading_info=True
    )
    model: PreTrainedModel = loaded[0]
    if config is not whole:
        model, family = language_model_of(model, family)
    if known is None:
        check_sums(model, family)
    spec = _as_stored(describe(model, name, family), Path(directory), loaded[1])
    for parameter in model.parameters():
        # Parameters alone: the buffers of rotary embeddings need all their digits.
        parameter.data = parameter.data.to(dtype)
    nn.Module.to(model, device)
    freeze(model)
    tokenizer = _tokenizer(name, Path(directory))
    spec = replace(spec, tokenizer=TokenizerSpec.of(tokenizer, Path(directory)))
    _tell_context(spec, config)
    spec = replace(spec, embedding=read_embedding(Path(directory)))
    return Base(spec, model, tokenizer, prompts=read_prompts(Path(directory)))


def _tokenizer(name: str, directory: Path) -> PreTrainedTokenizerFast:
    tokenizer = AutoTokenizer.from_pretrained(directory)
    if isinstance(tokenizer, ByT5Tokenizer):
        tokenizer = fast(tokenizer)
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise UnsupportedBase(
            f"The base '{name}' has no fast tokenizer; add its tokenizer.json to the directory."
        )
    # Some checkpoints ship a tokenizer set to cut and pad; lengths are the engine's business.
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    if not tokenizer.chat_template and (template := processor_template(directory)):
        tokenizer.chat_template = template
    return tokenizer


def _derived(config: PreTrainedConfig) -> Family:
    """The record of a decoder that has none; raises UnsupportedBase where there can be none."""
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING or config.is_encoder_decoder:
        return family_of(config)
    with torch.device("meta"):
        skeleton: PreTrainedModel = AutoModelForCausalLM.from_config(config)
    return derive(skeleton, FAMILIES.values())


def _as_stored(spec: BaseSpec, directory: Path, found: Mapping[str, Collection[str]]) -> BaseSpec:
    """What a base's files lack and what they hold for heads, as Transformers found them.

    Raises UnsupportedBase for weights that are missing, which would be drawn at random.
    """
    family = spec.family
    gone = tuple(f"{path}." for path in family.beside)
    missing = {name for name in found["missing_keys"] if not name.startswith(gone)}
    pooler = {name for name in missing if f".{family.pooler}." in f".{name}"}
    if others := sorted(missing - pooler):
        raise UnsupportedBase(
            f"The files of the base '{spec.name}' lack {', '.join(others[:_SHOWN])}: save it whole."
        )
    if pooler:
        family = replace(family, pooler=None)
    return replace(spec, family=family, own_heads=_own_heads(family, directory, found))


def _own_heads(
    family: Family, directory: Path, found: Mapping[str, Collection[str]]
) -> dict[str, Tensor]:
    """The tensors of heads' modules that lie in a base's files, by their names in a whole model."""
    names = {
        f"{module}.{end}": f"{module}.{end}"
        for layout in family.heads
        for module in (*layout.modules, *(() if layout.norm is None else (layout.norm,)))
        for end in ("weight", "bias")
    }
    bare = {name.removeprefix(f"{prefix}."): name for name in names for prefix in family.prefixes}
    names = bare | names
    wanted = names.keys() & set(found["unexpected_keys"])
    heads: dict[str, Tensor] = {}
    for file in sorted(directory.glob("*.safetensors")) if wanted else ():
        with safe_open(file, "pt") as stored:
            heads |= {names[each]: stored.get_tensor(each) for each in wanted & set(stored.keys())}
    return heads


def _tell_context(spec: BaseSpec, config: PreTrainedConfig) -> None:
    """Say so where texts may be no longer than those that heads are rotated alike for."""
    configured = getattr(config, "max_position_embeddings", None)
    if isinstance(configured, int) and spec.context < configured - spec.family.first_position:
        _log.warning(
            "The context of %s is %d tokens, not %d: beyond, its heads are rotated by the length "
            "of a step's longest text, so that a text's answer would depend on its neighbours.",
            spec.name,
            spec.context,
            configured,
        )
