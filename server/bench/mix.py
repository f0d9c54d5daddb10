"""What is mixed: which synthetic deltas are made, and which requests ask the bare base."""

from dataclasses import dataclass
from typing import Self

from server.bench.errors import BenchError
from server.bench.side import BASE


@dataclass(frozen=True)
class Form:
    """The shape of deltas: their rank or size, and `every` projection or attention's alone."""

    every: bool
    rank: int


@dataclass(frozen=True)
class Mix:
    """Kinds in turn, of the deltas that are made; at the places of `base` requests ask it."""

    kinds: tuple[str, ...]
    form: Form

    @classmethod
    def of(cls, kinds: str, form: Form) -> Self:
        """Read kinds with commas between them; raises BenchError if there is no delta's."""
        mix = cls(tuple(kinds.split(",")), form)
        if not mix.deltas:
            raise BenchError(f"--kinds {kinds} mixes nothing; name a delta's kind beside the base.")
        return mix

    @property
    def deltas(self) -> tuple[str, ...]:
        """The kinds of the deltas, in turn."""
        return tuple(kind for kind in self.kinds if kind != BASE)

    @property
    def bare(self) -> tuple[bool, ...]:
        """Which requests, in turn, ask the bare base."""
        return tuple(kind == BASE for kind in self.kinds)
