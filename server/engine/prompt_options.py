"""Prompt options: how an input becomes a prompt, where its caller says more than its task does."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Side: TypeAlias = Literal["left", "right"]
Variable: TypeAlias = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class PromptOptions:
    """How an input becomes a prompt.

    Of a prompt with more than `truncate` tokens the last are kept, or the first where it is cut on
    the `right`; -1 stands for as many as there is room for. `special` says whether the tokenizer's
    own special tokens come around it, None for as usual: around texts, not around chats.
    A chat is written out with the beginning of an answer where it `opens` one; where it
    `continues`, its last message has no end. `variables` are its template's own.
    A text to embed comes behind the base's prompt of this `name`.
    """

    truncate: int | None = None
    truncation_side: Side = "left"
    special: bool | None = None
    opens: bool = True
    continues: bool = False
    variables: Mapping[str, Variable] = field(default_factory=dict[str, Variable])
    name: str | None = None


USUAL = PromptOptions()
