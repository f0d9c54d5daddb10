"""Rules of a request: what its sampling asks for, in the order in which it acts."""

from collections.abc import Collection, Iterator, Sequence

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from server.errors import InvalidRequest
from server.model.base import Base
from server.model.rules import (
    AllowedTokens,
    BadWords,
    Bias,
    ForcedToken,
    HeldTokens,
    Penalties,
    RepeatedNgrams,
    Rule,
)
from server.model.sampling import Sampling


def rules_of(sampling: Sampling, base: Base, prompt: Sequence[int]) -> tuple[Rule, ...]:
    """Make the rules of what is written for a prompt.

    They keep nothing of a sequence: all choices of a request share them. A bias comes before
    penalties, as in Transformers and vLLM; what forbids tokens comes last.
    Raises InvalidRequest for tokens that the base does not have.
    """
    _check_tokens(sampling, base.spec.vocabulary)
    return tuple(_rules(sampling, base, prompt))


def _rules(sampling: Sampling, base: Base, prompt: Sequence[int]) -> Iterator[Rule]:
    device = base.device
    if sampling.logit_bias:
        tokens, values = zip(*sampling.logit_bias, strict=True)
        yield Bias(torch.tensor(tokens, device=device), torch.tensor(values, device=device))
    penalties = Penalties(
        sampling.repetition_penalty, sampling.presence_penalty, sampling.frequency_penalty
    )
    if penalties != Penalties():
        yield penalties
    yield from _forbidding(sampling, base, prompt)
    if sampling.forced_eos_token_id is not None:
        yield ForcedToken(sampling.forced_eos_token_id, sampling.max_tokens - 1)


def _forbidding(sampling: Sampling, base: Base, prompt: Sequence[int]) -> Iterator[Rule]:
    if size := sampling.no_repeat_ngram_size:
        yield RepeatedNgrams(size)
    if size := sampling.encoder_no_repeat_ngram_size:
        yield RepeatedNgrams(size, torch.tensor(list(prompt)))
    if sampling.allowed_token_ids is not None:
        yield AllowedTokens(_tensor(sampling.allowed_token_ids, base.device))
    if sampling.bad_words:
        yield BadWords(tuple(_words(sampling.bad_words, base.tokenizer)))
    ends = base.end_tokens | sampling.stop_token_ids
    if sampling.min_tokens and ends:
        yield HeldTokens(ends, sampling.min_tokens)


def _tensor(tokens: Collection[int], device: torch.device) -> Tensor:
    return torch.tensor(sorted(tokens), device=device)


def _words(texts: Collection[str], tokenizer: PreTrainedTokenizerFast) -> Iterator[tuple[int, ...]]:
    """The tokens of words as a text may begin with them and, as vLLM does, within a text."""
    for text in texts:
        word = text.lstrip()
        plain, spaced = (
            tuple(tokenizer.encode(each, add_special_tokens=False)) for each in (word, f" {word}")
        )
        if not plain:
            raise InvalidRequest("A word of no tokens cannot be forbidden.", param="bad_words")
        yield plain
        # A space that is a token of its own changes nothing about the word's last one.
        if len(spaced) == len(plain) and spaced[0] != plain[0]:
            yield spaced


def _check_tokens(sampling: Sampling, vocabulary: int) -> None:
    allowed = sampling.allowed_token_ids
    named: dict[str, Collection[int]] = {
        "logit_bias": [token for token, _ in sampling.logit_bias],
        "allowed_token_ids": () if allowed is None else allowed,
        "stop_token_ids": sampling.stop_token_ids,
        "forced_bos_token_id": _listed(sampling.forced_bos_token_id),
        "forced_eos_token_id": _listed(sampling.forced_eos_token_id),
    }
    for param, tokens in named.items():
        if tokens and max(tokens) >= vocabulary:
            message = (
                f"Token ids must be between 0 and {vocabulary - 1}, but it names {max(tokens)}."
            )
            raise InvalidRequest(message, param=param)


def _listed(token: int | None) -> Collection[int]:
    return () if token is None else (token,)
