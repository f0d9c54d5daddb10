"""Sampling: the options of generation that every route takes, with their bounds."""

from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, Field, FiniteFloat

from server.api.http.body import Items
from server.api.inputs import MAX_TOKENS, TokenId, TokenIds
from server.api.unsupported import UnsupportedSampling
from server.engine.request import Sampling
from server.errors import InvalidRequest

MAX_CHOICES = 16
MAX_LOGPROBS = 20
MAX_STOPS = 8
MAX_WORDS = 256
MAX_BIASES = 1024

TokenCount: TypeAlias = Annotated[int, Field(ge=1, le=MAX_TOKENS)]
Alternatives: TypeAlias = Annotated[int, Field(ge=0, le=MAX_LOGPROBS)]
StopText: TypeAlias = Annotated[str, Field(min_length=1, max_length=256)]
StopTexts: TypeAlias = Annotated[Items[StopText], Field(max_length=MAX_STOPS)]
BiasedToken: TypeAlias = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,8})$")]
"""A token id as JSON's keys are: in digits."""
LogitBias: TypeAlias = Annotated[
    dict[BiasedToken, Annotated[FiniteFloat, Field(ge=-100, le=100)]],
    Field(max_length=MAX_BIASES),
]


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class SamplingFields(UnsupportedSampling):
    """How tokens are chosen and when generation ends, under OpenAI's and vLLM's names."""

    temperature: Annotated[FiniteFloat, Field(ge=0, le=10)] = 1.0
    top_p: Annotated[FiniteFloat, Field(gt=0, le=1)] = 1.0
    top_k: Annotated[int, Field(ge=-1, lt=1 << 31)] = 0
    min_p: Annotated[FiniteFloat, Field(ge=0, le=1)] = 0.0
    repetition_penalty: Annotated[FiniteFloat, Field(ge=0.01, le=100)] = 1.0
    presence_penalty: Annotated[FiniteFloat, Field(ge=-2, le=2)] = 0.0
    frequency_penalty: Annotated[FiniteFloat, Field(ge=-2, le=2)] = 0.0
    seed: Annotated[int, Field(ge=-(1 << 63), lt=1 << 64)] | None = None
    stop: Annotated[
        StopTexts,
        BeforeValidator(_listed, json_schema_input_type=StopText | StopTexts),
    ] = Field(default_factory=list[str])
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES)] = 1
    min_tokens: Annotated[int, Field(ge=0, le=MAX_TOKENS, description="At most max_tokens")] = 0
    ignore_eos: bool = False
    logit_bias: LogitBias = Field(default_factory=dict[str, float])
    allowed_token_ids: TokenIds | None = None
    bad_words: Annotated[Items[StopText], Field(max_length=MAX_WORDS)] = Field(
        default_factory=list[str]
    )
    stop_token_ids: Annotated[Items[TokenId], Field(max_length=MAX_WORDS)] = Field(
        default_factory=list[int]
    )

    def sampling(self, max_tokens: int, logprobs: int | None) -> Sampling:
        """The options as the engine takes them."""
        if self.min_tokens > max_tokens:
            raise InvalidRequest("min_tokens must not be greater than max_tokens.", "min_tokens")
        allowed = self.allowed_token_ids
        return Sampling(
            max_tokens=max_tokens,
            min_tokens=self.min_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=max(self.top_k, 0),
            min_p=self.min_p,
            repetition_penalty=self.repetition_penalty,
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
            seed=self.seed,
            stop=tuple(self.stop),
            n=self.n,
            logprobs=logprobs,
            ignore_eos=self.ignore_eos,
            logit_bias=tuple((int(token), value) for token, value in self.logit_bias.items()),
            allowed_token_ids=None if allowed is None else tuple(allowed),
            bad_words=tuple(self.bad_words),
            stop_token_ids=frozenset(self.stop_token_ids),
        )
