"""Fields of other servers that would change the answer: better refused than ignored."""

from typing import Annotated, Any, TypeAlias

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from server.api.http.body import Body

_REFUSED = "Not done by this server: anything but these values is refused"
_REASON = "This server does not do this; leave it out"
_NO_SUFFIX = (
    "A text is continued at its end alone; to fill in a middle, write the prompt with the tokens "
    "that the base was trained with for that"
)

_NOT_KEPT = "Nothing is kept here of earlier responses; send their items as input"
_OUTPUT_TOKENS = "Responses call this max_output_tokens"
_NO_ITEMS_CUT = (
    "Items are not dropped here; send truncate_prompt_tokens to keep the last tokens of an input"
)


class Only:
    """Marks a field of which nothing is taken but the values that change nothing here."""

    def __init__(self, *values: Any, reason: str = _REASON) -> None:
        self._values = values
        self._reason = reason

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        del schema, handler
        return {"enum": [*self._values, None], "description": _REFUSED}

    def _check(self, value: Any) -> Any:
        if _told_apart(value) not in map(_told_apart, self._values):
            raise PydanticCustomError("unsupported", "{reason}", {"reason": self._reason})
        return value


def _told_apart(value: Any) -> tuple[bool, Any]:
    # JSON's true is no 1, which Python's is.
    return isinstance(value, bool), value


Nothing: TypeAlias = Annotated[Any, Only()]
Empty: TypeAlias = Annotated[Any, Only([], {}, "")]
Zero: TypeAlias = Annotated[Any, Only(0)]
One: TypeAlias = Annotated[Any, Only(1)]
Off: TypeAlias = Annotated[Any, Only(False)]
On: TypeAlias = Annotated[Any, Only(True)]


class UnsupportedSampling(Body):
    """What other servers take for choosing tokens and for showing them."""

    logits_processors: Empty = None
    vllm_xargs: Empty = None
    kv_transfer_params: Empty = None
    ec_transfer_params: Empty = None

    num_beam_groups: One = None
    watermarking: Off = None
    repetition_detection: Empty = None
    thinking_token_budget: Annotated[Any, Only(-1)] = None
    logprob_token_ids: Empty = None

    n_probs: Zero = None
    include_stop_str_in_output: Off = None
    skip_special_tokens: On = None
    spaces_between_special_tokens: On = None

    repeat_penalty: One = None
    typical_p: One = None
    tfs_z: One = None
    top_n_sigma: Annotated[Any, Only(-1)] = None
    mirostat: Zero = None
    dynatemp_range: Zero = None
    xtc_probability: Zero = None
    dry_multiplier: Zero = None
    samplers: Nothing = None
    n_predict: Nothing = None
    t_max_predict_ms: Zero = None
    lora: Empty = None


class UnsupportedParameters(Body):
    """What `/v1/infer` does not take of what OpenAI's routes do."""

    best_of: One = None
    prompt_logprobs: Nothing = None
    return_token_ids: Off = None
    return_tokens_as_token_ids: Off = None
    truncate_prompt_tokens: Nothing = None


class UnsupportedCompletion(Body):
    """What other servers take beside a prompt."""

    suffix: Annotated[Any, Only("", reason=_NO_SUFFIX)] = None
    prompt_embeds: Nothing = None
    image_data: Empty = None


class UnsupportedChat(Body):
    """What other servers take beside messages."""

    best_of: One = None
    modalities: Annotated[Any, Only(["text"])] = None
    audio: Nothing = None
    web_search_options: Nothing = None
    reasoning_effort: Annotated[Any, Only("none")] = None
    verbosity: Annotated[Any, Only("medium")] = None
    documents: Empty = None
    chat_template: Nothing = None
    include_reasoning: On = None
    return_prompt_text: Off = None


class UnsupportedResponse(Body):
    """What OpenAI's responses take that nothing here keeps or does, and what chats call otherwise.

    Truncation by items is not done; `truncate_prompt_tokens` cuts by tokens.
    """

    background: Off = None
    context_management: Empty = None
    conversation: Annotated[Any, Only(reason=_NOT_KEPT)] = None
    enable_response_messages: Off = None
    max_completion_tokens: Annotated[Any, Only(reason=_OUTPUT_TOKENS)] = None
    max_tokens: Annotated[Any, Only(reason=_OUTPUT_TOKENS)] = None
    max_tool_calls: Nothing = None
    moderation: Nothing = None
    previous_input_messages: Empty = None
    previous_response: Annotated[Any, Only(reason=_NOT_KEPT)] = None
    previous_response_id: Annotated[Any, Only(reason=_NOT_KEPT)] = None
    prompt: Nothing = None
    truncation: Annotated[Any, Only("disabled", reason=_NO_ITEMS_CUT)] = None


class UnsupportedReasoning(Body):
    """What OpenAI's models take for reasoning: no measure of it is known here but none at all."""

    effort: Annotated[Any, Only("none")] = None
    generate_summary: Nothing = None
    summary: Nothing = None


class UnsupportedPooling(Body):
    """What other servers take beside what a head is to read."""

    padding: Annotated[Any, Only("do_not_pad")] = None
    chat_template: Nothing = None


class UnsupportedRerank(Body):
    """What other servers take beside documents to rank."""

    rank_fields: Annotated[Any, Only(["text"])] = None
    max_chunks_per_doc: Nothing = None
    max_tokens_per_doc: Nothing = None
    instruction: Empty = None


class UnsupportedGeneration(Body):
    """What text-generation-inference takes for choosing tokens and for showing them."""

    best_of: One = None
    decoder_input_details: Off = None
    grammar: Nothing = None
    typical_p: One = None
    watermark: Off = None


class UnsupportedTokenizing(Body):
    """What other servers take beside messages to tokenise."""

    chat_template: Nothing = None


class UnsupportedPrompt(Body):
    """What text-embeddings-inference takes beside texts."""

    prompt_name: Empty = None


class UnsupportedEmbedding(Body):
    """What other servers take beside an input to embed."""

    normalize: Nothing = None
    use_activation: Nothing = None
    embed_dtype: Annotated[Any, Only("float32")] = None
    endianness: Annotated[Any, Only("native", "little")] = None
    padding: Annotated[Any, Only("do_not_pad")] = None
