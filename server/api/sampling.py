"""Sampling: the options of generation that every route takes, with their bounds."""

from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, Field, FiniteFloat

from server.api.http.body import Items
from server.api.inputs import MAX_TOKENS, TokenId, TokenIds
from server.api.unsupported import UnsupportedSampling
from server.engine.request import Sampling
from server.errors import InvalidRequest
from server.model.sampling import EarlyStopping

MAX_CHOICES = 16
MAX_LOGPROBS = 20
MAX_STOPS = 8
MAX_WORDS = 256
MAX_BIASES = 1024
MAX_LENGTH_PENALTY = 5
MAX_NGRAM = 64

TokenCount: TypeAlias = Annotated[int, Field(ge=1, le=MAX_TOKENS)]
NgramSize: TypeAlias = Annotated[int, Field(ge=0, le=MAX_NGRAM)]
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
    """How tokens are chosen and when generation ends, under OpenAI's and vLLM's names.

    `num_beams` search for the `n` likeliest texts, as in Transformers; `use_beam_search` takes as
    many beams as texts are asked for, where their number is not given.
    """

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
    no_repeat_ngram_size: NgramSize = 0
    encoder_no_repeat_ngram_size: NgramSize = 0
    forced_bos_token_id: TokenId | None = None
    forced_eos_token_id: TokenId | None = None
    language: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    num_beams: Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None = None
    use_beam_search: bool = False
    length_penalty: Annotated[FiniteFloat, Field(ge=-MAX_LENGTH_PENALTY, le=MAX_LENGTH_PENALTY)] = (
        1.0
    )
    early_stopping: EarlyStopping = False
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

    @property
    def rows(self) -> int:
        """How many sequences an input takes."""
        return max(self.n, self.beams)

    @property
    def beams(self) -> int:
        """How many texts are gone on with at once, of which the likeliest are kept."""
        return self.num_beams or (self.n if self.use_beam_search else 1)

    def sampling(self, max_tokens: int, logprobs: int | None) -> Sampling:
        """The options as the engine takes them."""
        if self.min_tokens > max_tokens:
            raise InvalidRequest("min_tokens must not be greater than max_tokens.", "min_tokens")
        if self._searches and "temperature" in self.model_fields_set and self.temperature:
            raise InvalidRequest(
                "Beams draw nothing; leave the temperature out, or set it to 0.", "temperature"
            )
        allowed = self.allowed_token_ids
        return Sampling(
            max_tokens=max_tokens,
            min_tokens=self.min_tokens,
            temperature=0.0 if self._searches else self.temperature,
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
            no_repeat_ngram_size=self.no_repeat_ngram_size,
            encoder_no_repeat_ngram_size=self.encoder_no_repeat_ngram_size,
            forced_bos_token_id=self.forced_bos_token_id,
            forced_eos_token_id=self.forced_eos_token_id,
            language=self.language,
            num_beams=self.beams,
            length_penalty=self.length_penalty,
            early_stopping=self.early_stopping,
        )

    @property
    def _searches(self) -> bool:
        return self.use_beam_search or self.beams > 1
