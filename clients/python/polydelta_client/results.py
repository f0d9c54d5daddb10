"""What the server answers, as frozen dataclasses."""

from dataclasses import dataclass, field
from typing import TypeVar


@dataclass(frozen=True)
class Usage:
    """Tokens counted for one request."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


@dataclass(frozen=True)
class Alternative:
    """A token that could stand at a place, with the natural logarithm of its probability."""

    id: int
    token: str
    logprob: float


@dataclass(frozen=True)
class ChosenToken(Alternative):
    """A token that was generated; `top` are the likeliest at its place, as many as asked for."""

    top: list[Alternative]


@dataclass(frozen=True)
class Generation:
    """The output of a generating task; `finish_reason` is "stop" or "length"."""

    text: str
    finish_reason: str
    logprobs: list[ChosenToken] | None = None


@dataclass(frozen=True)
class Classification:
    """The output of a classifying task: the label of the greatest score, and every label's.

    Scores are probabilities, but where the task was trained for regression or `function_to_apply`
    asked for others.
    """

    label: str
    score: float
    scores: dict[str, float]


@dataclass(frozen=True)
class Entity:
    """A labelled span of the input, in characters: `input[start:end] == text`."""

    label: str
    start: int
    end: int
    text: str
    score: float


@dataclass(frozen=True)
class Tagging:
    """The output of a tagging task."""

    entities: list[Entity]


@dataclass(frozen=True)
class Embedding:
    """The output of an embedding task."""

    embedding: list[float]


Output = Generation | Classification | Tagging | Embedding
_O = TypeVar("_O", Generation, Classification, Tagging, Embedding)


@dataclass(frozen=True)
class Inference:
    """The answer to one request: one output per input, in order.

    The shortcuts (`label`, `text`, …) read the only output. They raise ValueError when there are
    several, and AttributeError when the task gives another type of output.
    """

    id: str
    task: str
    version: str
    kind: str
    outputs: list[Output]
    usage: Usage

    @property
    def text(self) -> str:
        """The generated text."""
        return self._only(Generation).text

    @property
    def finish_reason(self) -> str:
        """Why generation ended: "stop" or "length"."""
        return self._only(Generation).finish_reason

    @property
    def label(self) -> str:
        """The label of the greatest score."""
        return self._only(Classification).label

    @property
    def score(self) -> float:
        """The score of `label`."""
        return self._only(Classification).score

    @property
    def scores(self) -> dict[str, float]:
        """The score of each label."""
        return self._only(Classification).scores

    @property
    def entities(self) -> list[Entity]:
        """The labelled spans of the input."""
        return self._only(Tagging).entities

    @property
    def embedding(self) -> list[float]:
        """The vector of the input."""
        return self._only(Embedding).embedding

    def _only(self, wanted: type[_O]) -> _O:
        if len(self.outputs) != 1:
            raise ValueError(f"there are {len(self.outputs)} outputs: read them from .outputs")
        output = self.outputs[0]
        if isinstance(output, wanted):
            return output
        found = type(output).__name__
        raise AttributeError(f"task {self.task!r} gave a {found}, not a {wanted.__name__}")


@dataclass(frozen=True)
class Piece:
    """A stretch of generated text; `index` tells the generations of one request (`n`) apart."""

    text: str
    index: int = 0
    finish_reason: str | None = None
    logprobs: list[ChosenToken] | None = None


@dataclass(frozen=True)
class Version:
    """One delta that a task has had; `bytes` of tensors, `created` in Unix seconds."""

    version: str
    digest: str
    kind: str
    bytes: int
    created: float


@dataclass(frozen=True)
class Task:
    """A task: `version` is the active one, `resident` on "device", "host" or "disk".

    `type` is "generate", "classify", "tag" or "embed"; `labels` is None where there are none;
    `requests` counts those served; `warnings` say what is odd about the active version, such as
    that it changes nothing.
    """

    id: str
    type: str
    kind: str
    kinds: list[str]
    version: str
    versions: list[Version]
    labels: list[str] | None
    resident: str
    bytes: int
    requests: int
    base: str
    warnings: list[str] = field(default_factory=list[str])


@dataclass(frozen=True)
class Model:
    """An entry of the OpenAI-compatible list: the base, or a task, whose `parent` is the base.

    `created` is in Unix seconds, `max_model_len` in tokens.
    """

    id: str
    created: int
    owned_by: str
    root: str
    parent: str | None
    max_model_len: int


@dataclass(frozen=True)
class Health:
    """A living server: sequences that run and wait, and the share of its cache in use.

    `revision` is the commit of the hub that the base's files are of, None if they are of none.
    """

    status: str
    base: str
    running: int
    waiting: int
    cache_usage: float
    revision: str | None = None
