"""What a request may carry."""

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, BinaryIO, Literal, NotRequired, TypedDict

import httpx2


class Parameters(TypedDict, total=False):
    """Options of an answer; None, like absence, leaves the server's default.

    All but the last three steer generation. `top` limits a classifier's scores to the likeliest
    labels; `function_to_apply` is what makes scores of its logits, "none" gives them as they are.
    `logit_bias` names tokens by their ids in digits; `stop_token_ids` end a text without being part
    of it. No `no_repeat_ngram_size` tokens in a row come twice, and no
    `encoder_no_repeat_ngram_size` that the input has. An encoder-decoder's text begins with
    `forced_bos_token_id` or with the token of a `language`; any text's last of `max_tokens` is
    `forced_eos_token_id`. `num_beams` search for the `n` likeliest texts, each one's
    log-probability being shared out by its length to the power of `length_penalty`. The text keeps
    to a `regex`, to a `choice` of texts or to a Lark `grammar`. `tools` are what the answer to a
    chat may call, in OpenAI's form. Prompts share what is computed for them with those of equal
    `cache_salt` alone.
    """

    max_tokens: int | None
    min_tokens: int | None
    temperature: float | None
    top_p: float | None
    top_k: int | None
    min_p: float | None
    repetition_penalty: float | None
    presence_penalty: float | None
    frequency_penalty: float | None
    seed: int | None
    stop: str | Sequence[str] | None
    ignore_eos: bool | None
    logit_bias: Mapping[str, float] | None
    allowed_token_ids: Sequence[int] | None
    bad_words: Sequence[str] | None
    stop_token_ids: Sequence[int] | None
    regex: str | None
    choice: Sequence[str] | None
    grammar: str | None
    no_repeat_ngram_size: int | None
    encoder_no_repeat_ngram_size: int | None
    forced_bos_token_id: int | None
    forced_eos_token_id: int | None
    language: str | None
    n: int | None
    num_beams: int | None
    length_penalty: float | None
    early_stopping: bool | Literal["never"] | None
    logprobs: int | None
    tools: Sequence[Mapping[str, Any]] | None
    tool_choice: str | Mapping[str, Any] | None
    parallel_tool_calls: bool | None
    top: int | None
    function_to_apply: Literal["softmax", "sigmoid", "none"] | None
    cache_salt: str | None


class CallOptions(TypedDict, total=False):
    """How a call is made; what is left out is as the client was made.

    `timeout` is in seconds, for each wait on the network, and None waits for ever; `extra_headers`
    come on top of the client's.
    """

    timeout: float | httpx2.Timeout | None
    max_retries: int
    extra_headers: Mapping[str, str]


class InferOptions(Parameters, CallOptions, total=False):
    """What `infer` and `stream` take by keyword."""


class Message(TypedDict):
    """A turn of a chat: `role` is "system", "user", "assistant" or "tool".

    An assistant's turn may hold the `tool_calls` that it made, as `model_dump` gives them; a tool's
    answers the one of `tool_call_id`.
    """

    role: str
    content: NotRequired[str | Sequence[Mapping[str, Any]]]
    tool_calls: NotRequired[Sequence[Mapping[str, Any]]]
    tool_call_id: NotRequired[str]


Input = str | Sequence[str] | Sequence[Message] | Sequence[Mapping[str, Any]]
BatchRequest = tuple[str, Input] | tuple[str, Input, Mapping[str, Any]]

Contents = bytes | BinaryIO | PathLike[str]
Source = str | PathLike[str] | bytes | BinaryIO | Mapping[str, Contents]
