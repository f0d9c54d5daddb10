"""Room: how long an input may be."""

from collections.abc import Sequence
from dataclasses import dataclass

from server.engine.prompt_options import PromptOptions, Side
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
        most = self._most(count, options)
        if count <= most:
            return range(count)
        inner = [at for at in range(count) if not around or not around[at]]
        left = max(0, most - (count - len(inner)))
        dropped = _cut(inner, left, options.truncation_side)
        return [at for at in range(count) if at not in dropped]

    def kept_of_pair(self, sides: Sequence[int | None], options: PromptOptions) -> Sequence[int]:
        """The same of a pair's tokens, where the longer text is cut first.

        `sides` says of each token which text it is of, None for those that stay.
        """
        count = len(sides)
        most = self._most(count, options)
        if count <= most:
            return range(count)
        first, second = ([at for at, side in enumerate(sides) if side == of] for of in (0, 1))
        left = max(0, most - (count - len(first) - len(second)))
        shorter = min(len(first), len(second), left // 2)
        longer = left - shorter
        # As Transformers' "longest_first" does, which gives the second of equal ones more.
        shares = (longer, shorter) if len(first) > len(second) else (shorter, longer)
        side = options.truncation_side
        dropped = _cut(first, shares[0], side) | _cut(second, shares[1], side)
        return [at for at in range(count) if at not in dropped]

    def _most(self, count: int, options: PromptOptions) -> int:
        """How many of so many tokens are read; raises ContextLengthExceeded if they do not fit."""
        most = self.tokens if options.truncate == -1 else options.truncate
        most = count if most is None else min(most, count)
        self.check_tokens(most)
        return most

    def _exceeded(self, count: str) -> ContextLengthExceeded:
        # By these words litellm and LangChain know that it is the length.
        most = self.tokens + self.reserved
        kept = f", with {self.reserved} kept for the answer" if self.reserved else ""
        return ContextLengthExceeded(
            f"This model's maximum context length is {most} tokens, and the input has "
            f"{count}{kept}: the prompt is too long. Shorten it.",
            param="input",
        )


def _cut(places: Sequence[int], left: int, side: Side) -> set[int]:
    """What goes of some places, so that so many are left."""
    return set(places[left:] if side == "right" else places[: len(places) - left])


ANY = Room(1 << 62)
"""Room for whatever there is."""
