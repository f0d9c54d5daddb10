"""The interface that every dialect of checkpoint on disk implements, one file each."""

from abc import ABC, abstractmethod
from typing import ClassVar

from deltas.base import BaseSpec
from deltas.checkpoint import Checkpoint
from deltas.delta import Delta
from deltas.strict_json import Json

SIGNATURE = "model.sig"
"""An OpenSSF model signature over the files beside it; whoever demands one reads it."""


class Dialect(ABC):
    """One way of laying a delta out in a directory."""

    name: ClassVar[str]
    markers: ClassVar[frozenset[str]]
    """File names any of which tells a directory to be of this dialect."""
    files: ClassVar[frozenset[str]]
    """Names of all files that make up a delta; no other is kept."""
    judged: ClassVar[frozenset[str]] = frozenset()
    """Names of further files that are looked at when a delta is put."""

    def recognises(self, checkpoint: Checkpoint) -> bool:
        """Whether a directory is of this dialect."""
        return bool(self.markers & checkpoint.names)

    def judge(self, checkpoint: Checkpoint, base: BaseSpec) -> None:
        """Look at files that are not kept but must agree with the base.

        Raises InvalidDelta or UnsupportedDelta with the reason.
        """
        del checkpoint, base

    def card(self, checkpoint: Checkpoint) -> dict[str, Json]:
        """What a delta's own files say about how it came about; raises InvalidDelta."""
        del checkpoint
        return {}

    @abstractmethod
    def read(self, checkpoint: Checkpoint, base: BaseSpec) -> Delta:
        """Read a delta; its fit to the base is checked by the caller.

        Raises InvalidDelta, UnsupportedDelta or WrongBase with the reason.
        """
