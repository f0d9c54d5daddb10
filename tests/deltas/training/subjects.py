"""Tiny subjects of training: a random base with the byte tokenizer."""

from dataclasses import dataclass
from functools import cached_property

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from deltas.base import BaseSpec, describe
from server.model.base import Base
from tests.bases import VOCABULARY, byte_tokenizer
from tests.encoder_decoders import FAMILIES as ENCODER_DECODERS
from tests.encoder_decoders import tiny_encoder_decoder
from tests.models import tiny_model


@dataclass
class TinySubject:
    family: str

    @cached_property
    def model(self) -> PreTrainedModel:
        make = tiny_encoder_decoder if self.family in ENCODER_DECODERS else tiny_model
        return make(self.family, vocab_size=VOCABULARY)

    @cached_property
    def spec(self) -> BaseSpec:
        return describe(self.model, "tiny")

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        chats = self.spec.family.causal and self.spec.family.encoder is None
        return byte_tokenizer(chat=chats)

    @property
    def start_tokens(self) -> tuple[int, ...]:
        return Base(self.spec, self.model, self.tokenizer).start_tokens
