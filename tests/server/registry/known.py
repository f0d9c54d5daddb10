"""What a task ought to be, by the plainest means."""

from dataclasses import dataclass, field

KEPT = 2
"""Versions that are kept beside those which are needed."""


@dataclass
class Known:
    """A task as it ought to be: which delta has which number, in order."""

    versions: dict[int, int] = field(default_factory=dict[int, int])
    active: int | None = None
    latest: int = 0
    aliases: dict[str, int] = field(default_factory=dict[str, int])
    shares: dict[int, int] = field(default_factory=dict[int, int])

    def put(self, delta: int) -> None:
        numbers = {held: number for number, held in self.versions.items()}
        if delta not in numbers:
            self.latest += 1
            self.versions[self.latest] = delta
        if self.active is None or not self.shares:
            self.activate(numbers.get(delta, self.latest))
        self.retain()

    def activate(self, number: int) -> None:
        self.active = number
        self.shares = {}
        self.retain()

    def share(self, shares: dict[int, int]) -> None:
        self.shares = shares
        self.retain()

    def retain(self) -> None:
        if self.active is not None:
            kept = {
                *sorted(self.versions)[-KEPT:],
                self.active,
                *self.aliases.values(),
                *self.shares,
            }
            self.versions = {n: delta for n, delta in self.versions.items() if n in kept}
