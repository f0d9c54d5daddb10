"""The interface that every PEFT method implements, one file each."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from deltas.base import BaseSpec
from deltas.delta import Part, TaskType
from deltas.formats.fields import Fields
from deltas.formats.peft.weights import Weights


@dataclass(frozen=True, slots=True)
class Source:
    """What a method reads from: a configuration, tensors, and the base they are for."""

    config: Fields
    weights: Weights
    base: BaseSpec
    task: TaskType


class Method(ABC):
    """One PEFT method: how its configuration and tensors become parts."""

    kind: ClassVar[str]
    """The kind of the parts that it gives."""
    peft_types: ClassVar[tuple[str, ...]]

    @abstractmethod
    def parts(self, source: Source) -> Iterable[Part]:
        """Take every field and tensor that is the method's own and give its parts.

        Raises InvalidDelta or UnsupportedDelta with the reason.
        """
