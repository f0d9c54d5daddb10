"""Prompting: how an input becomes a prompt and what is shown of it, under vLLM's names."""

from dataclasses import replace
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError

from server.api.http.body import Body
from server.api.inputs import MAX_TOKENS
from server.api.outputs import finite
from server.api.sampling import Alternatives
from server.api.template_variables import TemplateVariables, Value
from server.engine.prompt_options import PromptOptions
from server.engine.shown_prompt import ShownPrompt
from server.errors import InvalidRequest
from server.model.judge import Judged

Truncation: TypeAlias = Annotated[int, Field(ge=-1, le=MAX_TOKENS)]


class TruncationFields(Body):
    """What is left of a prompt that is too long.

    `truncate_prompt_tokens` are kept, -1 for as many as there is room for: the last of them, or the
    first with `truncation_side` "right".
    """

    truncate_prompt_tokens: Truncation | None = None
    truncation_side: Literal["left", "right"] = "left"
    add_special_tokens: bool | None = None

    def prompting(self) -> PromptOptions:
        """The options as the engine takes them."""
        if self.truncate_prompt_tokens == 0:
            raise InvalidRequest(
                "No tokens of a prompt cannot be read; send -1 or a number from 1 on.",
                "truncate_prompt_tokens",
            )
        return PromptOptions(
            truncate=self.truncate_prompt_tokens,
            truncation_side=self.truncation_side,
            special=self.add_special_tokens,
        )


class HeadPromptFields(TruncationFields):
    """The same for a head, for which the beginning of a text is kept unless it says otherwise."""

    truncation_side: Literal["left", "right"] = "right"


class TruncateFields(Body):
    """Text-embeddings-inference's: whether what is too long is cut, and at which end."""

    truncate: bool = False
    truncation_direction: Literal["Left", "Right", "left", "right"] = "Right"

    def prompting(self) -> PromptOptions:
        """The options as the engine takes them."""
        side = "left" if self.truncation_direction in ("Left", "left") else "right"
        return PromptOptions(truncate=-1 if self.truncate else None, truncation_side=side)


class NamedPromptField(Body):
    """Which of the base's prompts, as sentence-transformers calls them, comes before the texts."""

    prompt_name: Annotated[str, Field(max_length=128)] | None = None

    def named(self, options: PromptOptions) -> PromptOptions:
        """Options with the prompt's name."""
        return replace(options, name=self.prompt_name)


class PromptFields(TruncationFields):
    """What generation takes beside a prompt, and what it shows of it."""

    prompt_logprobs: Alternatives | None = None
    return_token_ids: bool = False
    return_tokens_as_token_ids: bool = False


class ChatTemplateFields(TruncationFields):
    """How a chat becomes a prompt.

    With `continue_final_message` the answer goes on with the last message. `chat_template_kwargs`
    are the template's own variables.
    """

    add_generation_prompt: bool | None = None
    continue_final_message: bool = False
    chat_template_kwargs: TemplateVariables = Field(default_factory=dict[str, Value])

    @model_validator(mode="after")
    def _check_end(self) -> Self:
        if self.continue_final_message and self.add_generation_prompt:
            raise PydanticCustomError(
                "chat_end", "A chat either continues its last message or opens another"
            )
        return self

    def prompting(self) -> PromptOptions:
        """The options as the engine takes them."""
        opens = self.add_generation_prompt
        return replace(
            super().prompting(),
            opens=not self.continue_final_message if opens is None else opens,
            continues=self.continue_final_message,
            variables=self.chat_template_kwargs,
        )


class ChatPromptFields(PromptFields, ChatTemplateFields):
    """What a chat's next turn takes beside its messages.

    `echo` puts what there is of a last message that goes on before the answer.
    """

    echo: bool = False


def thinking(options: PromptOptions, effort: str | None) -> PromptOptions:
    """Options with what an effort of reasoning tells a template: of "none", not to think.

    By this variable Qwen's templates and those made after them know it, and vLLM sets it, too.
    """
    if effort != "none":
        return options
    return replace(options, variables={"enable_thinking": False, **options.variables})


class PromptLogprob(BaseModel):
    """A token in a place of the prompt; the likeliest one has rank 1."""

    logprob: float
    rank: int
    decoded_token: str


PromptLogprobs: TypeAlias = list[dict[str, PromptLogprob] | None]
"""The likeliest tokens and the one that is there, by token id; None for the first of the prompt."""


def prompt_logprobs(prompt: ShownPrompt) -> PromptLogprobs:
    """Show how likely a prompt's tokens are."""
    return [None, *(_place(prompt, each) for each in prompt.judged)]


def _place(prompt: ShownPrompt, judged: Judged) -> dict[str, PromptLogprob]:
    likeliest = ((token, logprob, at) for at, (token, logprob) in enumerate(judged.top, 1))
    there = (judged.token, judged.logprob, judged.rank)
    # As vLLM does, the token that is there comes first.
    return {
        str(token): PromptLogprob(
            logprob=finite(logprob), rank=rank, decoded_token=prompt.texts.text(token)
        )
        for token, logprob, rank in (there, *(each for each in likeliest if each[0] != there[0]))
    }
