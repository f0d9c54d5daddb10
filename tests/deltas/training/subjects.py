"""Tiny subjects of training: a random base with the byte tokenizer."""

from dataclasses import dataclass
from functools import cached_property

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from deltas.base import BaseSpec, describe
from tests.bases import VOCABULARY, byte_tokenizer
from tests.models import tiny_model


@dataclass
class TinySubject:
    family: str

    @cached_property
    def model(self) -> PreTrainedModel:
        return tiny_model(self.family, vocab_size=VOCABULARY)

    @cached_property
    def spec(self) -> BaseSpec:
        return describe(self.model, "tiny")

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        return byte_tokenizer(chat=self.spec.family.causal)
