"""Room: how long an input may be."""

from dataclasses import dataclass

from server.errors import ContextLengthExceeded
from server.model.reach import ENDLESS, Reach


@dataclass(frozen=True, slots=True)
class Room:
    """Room for so many tokens, by a tokenizer of some reach."""

    tokens: int
    reach: Reach = ENDLESS

    def check_text(self, text: str) -> None:
        """Raise ContextLengthExceeded for a text that cannot fit, before it is tokenised."""
        fewest = self.reach.fewest_tokens(text)
        if fewest > self.tokens:
            raise self._exceeded(f"at least {fewest}")

    def check_tokens(self, count: int) -> None:
        """Raise ContextLengthExceeded for more tokens than fit."""
        if count > self.tokens:
            raise self._exceeded(str(count))

    def _exceeded(self, count: str) -> ContextLengthExceeded:
        return ContextLengthExceeded(
            f"The input has {count} tokens but this task takes at most {self.tokens}; shorten it.",
            param="input",
        )


ANY = Room(1 << 62)
"""Room for whatever there is."""
