"""Room: how long an input may be."""

from collections.abc import Sequence
from dataclasses import dataclass

from server.engine.prompt_options import PromptOptions
from server.errors import ContextLengthExceeded
from server.model.reach import ENDLESS, Reach


@dataclass(frozen=True, slots=True)
class Room:
    """Room for so many tokens, by a tokenizer of some reach.

    `reserved` more are kept for what is generated.
    """

    tokens: int
    reach: Reach = ENDLESS
    reserved: int = 0

    def check_text(self, text: str) -> None:
        """Raise ContextLengthExceeded for a text that cannot fit, before it is tokenised."""
        fewest = self.reach.fewest_tokens(text)
        if fewest > self.tokens:
            raise self._exceeded(f"at least {fewest}")

    def check_tokens(self, count: int) -> None:
        """Raise ContextLengthExceeded for more tokens than fit."""
        if count > self.tokens:
            raise self._exceeded(str(count))

    def kept(self, count: int, options: PromptOptions, around: Sequence[int] = ()) -> Sequence[int]:
        """Which of so many tokens are read, by their indices; 1 in `around` marks those that stay.

        Raises ContextLengthExceeded if that is more than fit.
        """
        most = self.tokens if options.truncate == -1 else options.truncate
        if most is None or count <= most:
            self.check_tokens(count)
            return range(count)
        self.check_tokens(most)
        inner = [at for at in range(count) if not around or not around[at]]
        left = max(0, most - (count - len(inner)))
        dropped = set(
            inner[left:] if options.truncation_side == "right" else inner[: -left or None]
        )
        return [at for at in range(count) if at not in dropped]

    def _exceeded(self, count: str) -> ContextLengthExceeded:
        # By these words litellm and LangChain know that it is the length.
        most = self.tokens + self.reserved
        kept = f", with {self.reserved} kept for the answer" if self.reserved else ""
        return ContextLengthExceeded(
            f"This model's maximum context length is {most} tokens, and the input has "
            f"{count}{kept}: the prompt is too long. Shorten it.",
            param="input",
        )


ANY = Room(1 << 62)
"""Room for whatever there is."""
