"""Versions: what the server knows of one delta without holding its tensors."""

from dataclasses import dataclass, field

from deltas.base import BaseSpec
from deltas.delta import Delta, DeltaRef, ProblemType, PromptStyle, TaskType
from deltas.kinds import Extent, extent_of, rank_of
from deltas.kinds.head import width_of

BASE_NAME = "base"
"""The name of the bare base, which is never registered."""

MAX_CARD = 8192
"""Characters of a card that is kept: it stays in memory with each version."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a task; the bare base is the version whose digest is empty.

    `number` counts a task's versions from 1, `source` is where its files came from: an address,
    `upload` or `directory`; `by` is who put it, empty where nobody said. `card` is what the delta
    tells of itself, as JSON, empty where that is nothing or longer than MAX_CARD. `bytes` is the
    size of its tensors, `created` when it was registered, in seconds since the epoch; `warnings`
    are sentences for whoever put it. A head gives `width` values, 0 for as many as the base has, of
    which the first `dimensions` are of use alone.
    """

    ref: DeltaRef
    type: TaskType
    number: int = 0
    source: str = ""
    by: str = ""
    card: str = field(default="", repr=False)
    kinds: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    problem_type: ProblemType | None = None
    prompt: PromptStyle = PromptStyle.CHAT
    chat_template: str = field(default="", repr=False)
    answer_schema: str = field(default="", repr=False)
    width: int = 0
    dimensions: tuple[int, ...] = ()
    extent: Extent = field(default_factory=Extent)
    rank: int = 0
    bytes: int = 0
    created: float = 0.0
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        ref: DeltaRef,
        delta: Delta,
        base: BaseSpec,
        created: float,
        warnings: tuple[str, ...] = (),
    ) -> "Version":
        """Describe a delta that has been checked against its base."""
        return cls(
            ref=ref,
            type=delta.task,
            card=delta.card if len(delta.card) <= MAX_CARD else "",
            kinds=delta.kinds,
            labels=delta.labels,
            problem_type=delta.problem_type,
            prompt=delta.prompt,
            chat_template=delta.chat_template,
            answer_schema=delta.answer_schema,
            width=width_of(delta),
            dimensions=delta.dimensions,
            extent=extent_of(delta, base),
            rank=rank_of(delta),
            bytes=delta.bytes,
            created=created,
            warnings=warnings,
        )

    @classmethod
    def bare(cls, generates: bool, width: int = 0) -> "Version":
        """Describe the bare base as a task: it generates, or it embeds."""
        task = TaskType.GENERATE if generates else TaskType.EMBED
        return cls(DeltaRef(BASE_NAME, ""), task, width=width)

    @property
    def kind(self) -> str:
        """The kinds in one word, such as `lora+head`."""
        return "+".join(self.kinds) or BASE_NAME
