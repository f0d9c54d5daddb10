"""Rows: what is known outside the core of each sequence that the engine has taken on."""

from dataclasses import dataclass
from typing import NamedTuple

from server.registry.names import SHARED
from server.registry.version import Version


class Party(NamedTuple):
    """Whose share of the places a row counts to: its tenant's, its task's of that, its caller's."""

    task: str
    caller: str
    tenant: str = SHARED


@dataclass(eq=False, slots=True)
class Row:
    """One sequence from its request's arrival on.

    `prompt` counts its input's tokens, which are a guess until it was read; of the `most` tokens
    that it may write so many are `expected`, and `tokens` are there.
    """

    version: Version
    party: Party
    prompt: int
    most: int
    expected: int
    tokens: int = 0
    running: bool = False

    @property
    def left(self) -> int:
        """Tokens that it is expected to write from now on."""
        while self.expected <= self.tokens < self.most:
            # It outran what was expected of it: expect as much again.
            self.expected = min(2 * self.expected + 1, self.most)
        return self.expected - self.tokens
