"""The subject of training: a frozen base with its tokenizer."""

from typing import Protocol

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from deltas.base import BaseSpec


class Subject(Protocol):
    """A base that deltas can be trained for; its parameters are frozen and stay as they are."""

    @property
    def spec(self) -> BaseSpec:
        """What deltas may know of the base."""
        ...

    @property
    def model(self) -> PreTrainedModel:
        """The model itself."""
        ...

    @property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """The model's tokenizer."""
        ...

    @property
    def start_tokens(self) -> tuple[int, ...]:
        """The tokens that a text begins with which is written for a source; else none."""
        ...
