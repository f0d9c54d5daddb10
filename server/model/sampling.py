"""Sampling: how the next tokens of a generation are chosen."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

EarlyStopping: TypeAlias = bool | Literal["never"]
"""Whether a beam search ends with as many texts as beams; `never` before none could be better."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are chosen and when generation ends.

    Temperature 0 is greedy; top_k 0 and top_p 1 keep every token. `logprobs` counts the
    alternatives reported with each token's own log-probability; None reports nothing.
    `prompt_logprobs` does the same for the prompt's tokens. No `max_tokens` only reads the prompt.

    `logit_bias` are tokens with what is added to their logits. No token comes but those of
    `allowed_token_ids`, where they are given, and none that would complete one of `bad_words`. A
    token of `stop_token_ids` ends the text without being part of it. So many tokens in a row as
    `no_repeat_ngram_size` come in no order twice, and those of the input in so many as
    `encoder_no_repeat_ngram_size` not at all, where these are not 0.

    A text written for a source begins with `forced_bos_token_id`, or the token of a `language`,
    instead of what its base begins texts with; the last of `max_tokens` is `forced_eos_token_id`.

    With `num_beams` above 1 nothing is drawn: the `n` likeliest texts are searched for by so many
    beams. A text's log-probability over its length to the power of `length_penalty` is its score.
    """

    max_tokens: int = 128
    min_tokens: int = 0
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    n: int = 1
    logprobs: int | None = None
    prompt_logprobs: int | None = None
    ignore_eos: bool = False
    logit_bias: tuple[tuple[int, float], ...] = ()
    allowed_token_ids: tuple[int, ...] | None = None
    bad_words: tuple[str, ...] = ()
    stop_token_ids: frozenset[int] = frozenset()
    num_beams: int = 1
    no_repeat_ngram_size: int = 0
    encoder_no_repeat_ngram_size: int = 0
    forced_bos_token_id: int | None = None
    forced_eos_token_id: int | None = None
    language: str | None = None
    length_penalty: float = 1.0
    early_stopping: EarlyStopping = False

    @property
    def rows(self) -> int:
        """How many sequences are computed at once."""
        return max(self.n, self.num_beams)
