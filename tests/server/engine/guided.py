"""Bases that write bytes, and Transformers' own generation under a grammar."""

from collections.abc import Sequence
from typing import Any

import torch
from llguidance import LLMatcher, LLTokenizer
from torch import Tensor
from transformers import LogitsProcessor, PreTrainedTokenizerFast

from deltas.base import describe
from server.engine.grammar import Grammar
from server.model.base import Base
from tests.bases import VOCABULARY, byte_tokenizer
from tests.models import tiny_model


def byte_base(family: str) -> Base:
    """A tiny random base whose tokens are bytes and a few words."""
    model = tiny_model(family, vocab_size=VOCABULARY)
    return Base(describe(model, f"bytes-{family}"), model, byte_tokenizer(chat=True))


class Guide(LogitsProcessor):
    """Masks by a grammar that is read from its beginning for each token, and forces nothing."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, grammar: Grammar, prompt: int) -> None:
        ends: Any = [tokenizer.eos_token_id]
        self._tokenizer = LLTokenizer(tokenizer.backend_tokenizer.to_str(), None, ends)
        self._grammar = grammar.written()
        self._prompt = prompt

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        matcher = LLMatcher(self._tokenizer, self._grammar)
        assert matcher.consume_tokens(input_ids[0, self._prompt :].tolist())
        bits = torch.frombuffer(bytearray(matcher.compute_bitmask()), dtype=torch.uint8)
        allowed = (bits[:, None] >> torch.arange(8)) & 1
        return scores.masked_fill(allowed.flatten()[None, : scores.shape[-1]] == 0, -torch.inf)


def generated(
    model: Any,
    tokenizer: PreTrainedTokenizerFast,
    prompt: Sequence[int],
    grammar: Grammar,
    tokens: int,
) -> str:
    """Transformers' greedy text under a grammar."""
    found = model.generate(
        torch.tensor([list(prompt)]),
        attention_mask=torch.ones(1, len(prompt)),
        max_new_tokens=tokens,
        do_sample=False,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=0,
        logits_processor=[Guide(tokenizer, grammar, len(prompt))],
    )
    return str(tokenizer.decode(found[0, len(prompt) :], skip_special_tokens=True))
