"""Language models inside checkpoints that read more than text: these alone are kept and served."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn
from transformers import MODEL_FOR_MULTIMODAL_LM_MAPPING, PreTrainedConfig, PreTrainedModel

from deltas.errors import UnsupportedBase
from deltas.families import Family

_TEMPLATE = "chat_template.json"
"""Where processors keep a chat template that their tokenizer has not."""
_OLDER = "language_model.model"
"""Where Transformers held the layers of most before version 4.52."""


class LanguageModel(PreTrainedModel):
    """A model that reads more than text, given text alone: `base_model` is its language model.

    What computes is the whole model's own forward pass; what reads pictures or sounds is gone.
    """

    base_model_prefix = "language_model"
    _supports_sdpa = True

    def __init__(self, whole: PreTrainedModel) -> None:
        super().__init__(text_config(whole.config))
        self.whole = whole
        self.generation_config = whole.generation_config

    @property
    def language_model(self) -> nn.Module:
        """The layers and what is before and behind them, without the LM head."""
        decoder: PreTrainedModel = self.whole.get_decoder()
        return decoder.base_model

    def forward(self, **inputs: Any) -> Any:
        """What the whole model says; raises UnsupportedBase where it wants more than text."""
        try:
            return self.whole(**inputs)
        except (AttributeError, TypeError) as error:
            raise UnsupportedBase(
                f"A '{self.whole.config.model_type}' cannot be given text alone ({error}). Serve a "
                "base that reads text."
            ) from error

    def get_output_embeddings(self) -> Any:
        """The LM head."""
        return self.whole.get_output_embeddings()

    def set_attn_implementation(
        self, attn_implementation: str | dict[str, Any], allow_all_kernels: bool = False
    ) -> None:
        """Have the whole model attend so."""
        self.whole.set_attn_implementation(attn_implementation, allow_all_kernels)


def text_config(config: PreTrainedConfig) -> PreTrainedConfig:
    """The configuration of the language model within a model; its own where there is no other."""
    if type(config) not in MODEL_FOR_MULTIMODAL_LM_MAPPING:
        return config
    return config.get_text_config(decoder=True)


def language_model_of(whole: PreTrainedModel, family: Family) -> tuple[LanguageModel, Family]:
    """Let go of all but the language model; its family's record tells the names it has there.

    Raises UnsupportedBase for one that is an encoder-decoder.
    """
    if family.encoder is not None:
        raise UnsupportedBase(
            f"The language model of a '{whole.config.model_type}' is an encoder-decoder, whose "
            "source are pictures: it is not served. Serve a base that reads text."
        )
    model = LanguageModel(whole)
    path = next(name for name, each in whole.named_modules() if each is model.language_model)
    beside = tuple(_let_go(whole, path))
    inner = path.removeprefix(f"{whole.base_model_prefix}.")
    older = (_OLDER,) if inner == _OLDER.partition(".")[0] else ()
    prefixes = tuple(dict.fromkeys((path, *older, inner, *family.prefixes)))
    return model, replace(family, prefixes=prefixes, beside=beside)


def processor_template(directory: Path) -> str:
    """The chat template that a processor keeps beside its tokenizer; empty if there is none.

    Raises UnsupportedBase for a file that cannot be read.
    """
    file = directory / _TEMPLATE
    try:
        said = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except (ValueError, RecursionError):
        raise UnsupportedBase(
            f"{file} is not JSON: put the checkpoint's own file there, or take it away."
        ) from None
    template = said.get("chat_template") if isinstance(said, dict) else None
    return template if isinstance(template, str) else ""


def _let_go(whole: PreTrainedModel, path: str) -> Iterator[str]:
    """Drop all modules that are neither on the way to a path nor the LM head; give their paths."""
    head, at = whole.get_output_embeddings(), ""
    for step in path.split("."):
        module = whole.get_submodule(at)
        for name, child in list(module.named_children()):
            if name != step and child is not head:
                setattr(module, name, None)
                yield f"{at}.{name}".lstrip(".")
        at = f"{at}.{step}".lstrip(".")
