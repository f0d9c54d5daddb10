"""Deltas: the small trained change that turns the base into a task."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TypeAlias

from torch import Tensor

Option: TypeAlias = str | int | float | bool | list[str]
Options: TypeAlias = Mapping[str, Option]
Tensors: TypeAlias = Mapping[str, Tensor]


class TaskType(Enum):
    """What a task's answers are."""

    GENERATE = "generate"
    CLASSIFY = "classify"
    TAG = "tag"
    EMBED = "embed"


class ProblemType(Enum):
    """What a classifier's scores were trained to be, in Transformers' words."""

    REGRESSION = "regression"
    """Values, not probabilities."""
    SINGLE_LABEL = "single_label_classification"
    """One label holds."""
    MULTI_LABEL = "multi_label_classification"
    """Each label holds or not, whatever the others do."""


class PromptStyle(Enum):
    """How a plain text becomes a generation prompt: as the delta was trained."""

    CHAT = "chat"
    """As one user message through the chat template: the delta's own, else the base's, if any."""
    TEXT = "text"
    """As it is."""


@dataclass(frozen=True, slots=True)
class DeltaRef:
    """The identity of one version of a task's delta.

    `digest` is the sha256 of its files in hex. A task's name is not an identity: two versions
    under one name never share slots, pins or cached computation.
    """

    task: str
    digest: str

    @property
    def version(self) -> str:
        """The short form of the digest that users see."""
        return self.digest[:12]


@dataclass(frozen=True, slots=True)
class Part:
    """One kind's tensors at one site; `options` are the kind's settings within the delta."""

    kind: str
    site: str
    tensors: Tensors
    options: Options = field(default_factory=dict[str, Option])

    @property
    def form(self) -> Hashable:
        """All that it is but what its memory holds."""
        return (self.kind, self.site, repr(self.options), *self.tensors)

    @property
    def memory(self) -> tuple[Tensor, ...]:
        """All that takes memory."""
        return tuple(self.tensors.values())

    def over(self, memory: Sequence[Tensor]) -> "Part":
        """The same part over other tensors, in the order of `memory`."""
        return replace(self, tensors=dict(zip(self.tensors, memory, strict=True)))

    @property
    def bytes(self) -> int:
        """Size of the tensors in bytes."""
        return sum(tensor.nbytes for tensor in self.memory)


@dataclass(frozen=True, slots=True)
class Delta:
    """Everything a task adds to the base.

    `task` is how the delta's answers are read; `labels` name a head's outputs in order; `prompt`
    is how generation reads a plain text; `chat_template` is what chats are written out by, empty
    where the base's own is. `answer_schema` is the JSON schema that its texts keep to, as JSON,
    empty where there is none. Where a classifier's `problem_type` is not said, its number of labels
    decides. The first `dimensions` values of an embedding are of use by themselves, for each of
    these numbers (Kusupati et al., 2022, arXiv:2205.13147, Matryoshka). `card` is what the delta
    tells of itself, as JSON, empty where it tells nothing. Several kinds may be present at once,
    each at any number of sites.
    """

    task: TaskType
    parts: tuple[Part, ...]
    labels: tuple[str, ...] = ()
    prompt: PromptStyle = PromptStyle.CHAT
    chat_template: str = ""
    problem_type: ProblemType | None = None
    answer_schema: str = ""
    dimensions: tuple[int, ...] = ()
    card: str = ""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The names of the kinds present, each once, in the order of their first part."""
        return tuple(dict.fromkeys(part.kind for part in self.parts))

    @property
    def bytes(self) -> int:
        """Size of all tensors in bytes."""
        return sum(part.bytes for part in self.parts)
