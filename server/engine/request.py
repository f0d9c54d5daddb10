"""Requests: what callers ask of the engine."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from deltas.delta import DeltaRef
from server.engine.grammar import Grammar
from server.engine.message import Message
from server.engine.prompt_options import USUAL, PromptOptions
from server.engine.tools import NO_TOOLS, Tools
from server.model.sampling import Sampling
from server.registry.names import SHARED, TaskName

__all__ = [
    "Call",
    "Grammar",
    "Input",
    "Pair",
    "PromptOptions",
    "Request",
    "Sampling",
    "ScoreFunction",
]

_BYTES_A_TOKEN = 4
"""What a text's token has on average, roughly: good enough before the text is read."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two texts for a head to read at once, such as a query and a document."""

    first: str
    second: str


Input: TypeAlias = str | tuple[int, ...] | tuple[Message, ...] | Pair
"""A text, token ids, chat messages or a pair of texts."""

ScoreFunction: TypeAlias = Literal["softmax", "sigmoid", "none"]
"""What makes scores of a classifier's logits; `none` leaves them as they are."""


@dataclass(eq=False, slots=True)
class Call:
    """What requests that came together have in common: who asks, and how long they wait.

    `caller` is whose share of the places they take, `deadline` when their answers must have begun,
    by the monotonic clock. `admitted` are the tasks of those that were taken: the first of a call
    decides for the others, too. `trace` is what the headers say of the call's trace. Calls of one
    `key` are answered by one version of a task. `versions` are those that answer this one. Tasks
    are named as `tenant` names them.
    """

    caller: str = ""
    deadline: float | None = None
    admitted: set[str] = field(default_factory=set[str])
    trace: Mapping[str, str] = field(default_factory=dict[str, str])
    key: str = ""
    versions: set[DeltaRef] = field(default_factory=set[DeltaRef])
    tenant: str = SHARED

    @property
    def patience(self) -> float | None:
        """Seconds left until the deadline, if there is one."""
        return None if self.deadline is None else self.deadline - time.monotonic()


@dataclass(frozen=True, slots=True)
class Request:
    """One input for one task.

    `raw` generates from the text as it is, whatever prompt style the task's delta has. Nothing
    computed for one `cache_salt` is reused for another. A classifier applies `score_function`, its
    own unless given. The answer may call `tools`. A text keeps to `grammar`, if there is one, and
    ends with it. What is asked in the `background` keeps nobody waiting.
    """

    id: str
    task: str
    input: Input
    sampling: Sampling = field(default_factory=Sampling)
    raw: bool = False
    cache_salt: str = ""
    score_function: ScoreFunction | None = None
    prompt: PromptOptions = USUAL
    all_logprobs: bool = False
    """Whether the token that only ends a text is shown among its log-probabilities, too."""
    generate: bool | None = None
    """True or False where the caller needs a task that generates, or one that does not."""
    call: Call = field(default_factory=Call)
    tools: Tools = NO_TOOLS
    grammar: Grammar | None = None
    background: bool = False

    @property
    def asked(self) -> TaskName:
        """The task, as its caller's tenant names it."""
        return TaskName(self.call.tenant, self.task)

    @property
    def size(self) -> int:
        """About how many tokens the input has, without reading it."""
        if isinstance(self.input, str):
            return 1 + len(self.input) // _BYTES_A_TOKEN
        if isinstance(self.input, Pair):
            return 1 + (len(self.input.first) + len(self.input.second)) // _BYTES_A_TOKEN
        return sum(1 if isinstance(part, int) else _length(part) for part in self.input)


def _length(message: Message) -> int:
    return 1 + message.characters // _BYTES_A_TOKEN
