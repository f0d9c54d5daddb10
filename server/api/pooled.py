"""What vLLM's routes to tasks with a head have in common."""

from typing import Annotated, Self, TypeAlias

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from server.api.inputs import CacheSalt, Messages, Prompt, inputs_of
from server.api.naming import OptionalModel
from server.api.prompting import ChatTemplateFields, HeadPromptFields
from server.api.unsupported import UnsupportedPooling
from server.engine.request import Request, ScoreFunction

Activation: TypeAlias = Annotated[
    bool, Field(description="Whether scores are made of logits; unless false, as the task does")
]


class PooledBody(HeadPromptFields, UnsupportedPooling):
    """What each of them takes; `activation` is the older name of `use_activation`."""

    model: OptionalModel | None = None
    use_activation: Activation | None = None
    activation: Activation | None = None
    cache_salt: CacheSalt | None = None

    @property
    def score_function(self) -> ScoreFunction | None:
        """What makes scores of logits; None is the task's own way."""
        return "none" if False in (self.use_activation, self.activation) else None


class ReadingBody(PooledBody, ChatTemplateFields):
    """Texts or token ids in `input`, or a chat in `messages`, for a head to read."""

    input: Prompt | None = None
    messages: Messages | None = None

    @model_validator(mode="after")
    def _check_input(self) -> Self:
        if (self.input is None) is (self.messages is None):
            raise PydanticCustomError("input", "Give either input or messages")
        return self

    def requests(self, name: str, task: str) -> list[Request]:
        """What the engine is asked of a task: one request for each input."""
        given = self.input if self.input is not None else self.messages
        options = self.prompting()
        return [
            Request(
                f"{name}-{at}",
                task,
                each,
                cache_salt=self.cache_salt or "",
                score_function=self.score_function,
                prompt=options,
                generate=False,
            )
            for at, each in enumerate(inputs_of(given or ""))
        ]
