"""Matchers: how far one sequence's text has come in its grammar."""

from collections.abc import Iterator, Sequence

import torch
from llguidance import LLExecutor, LLMatcher

from server.engine.ending import MOST, Endings
from server.errors import InvalidRequest
from server.model.rules import TokenMask

_WORD = 32


class Matcher:
    """What may follow a sequence's generated tokens; each choice of a request has its own."""

    def __init__(self, state: LLMatcher, endings: Endings, ending: Sequence[int] = ()) -> None:
        self.state = state
        self._endings = endings
        self._ending = [*ending]
        self._near = MOST

    def copy(self) -> "Matcher":
        """Another one that has come as far."""
        return Matcher(self.state.deep_copy(), self._endings, self._ending)

    def prepare(self) -> None:
        """Find once what all texts begin with: the first mask, and an ending."""
        if not self.state.is_error():
            self.state.compute_bitmask()
            self._ending = self._endings.find(self.state, ()) or []

    def take(self, token: int) -> None:
        """Go past a token."""
        self.state.consume_token(token)

    def forced(self) -> Iterator[int]:
        """Go past tokens, and yield them, for as long as no other may come."""
        for token in self.state.compute_ff_tokens():
            self.take(token)
            yield token

    def instead(self, token: int, room: int) -> int | None:
        """What to write in place of a token after which `room` more would be too few for an end.

        None if the token may come, or if there is no way to an end in time that is known of.
        """
        if room >= self._near:
            return None
        after = self.state.deep_copy()
        may = after.consume_token(token)
        found = self._endings.find(after, self._ending) if may else None
        if found is not None and len(found) <= room:
            self._ending = found
            return None
        here = self._endings.find(self.state, self._ending, room + 1)
        if here is None or not may:
            # Looking for an end takes time: again after half of the way.
            self._near = room // 2
            return None
        if found is None:
            self._ending = []
            return None
        self._ending = here[1:]
        return here[0] if here else self._endings.stop

    @property
    def ended(self) -> bool:
        """Whether nothing may follow any more."""
        return self.state.is_stopped()

    @property
    def error(self) -> InvalidRequest | None:
        """Why the grammar leads no further, if its text took more work than it may."""
        if not self.state.is_error():
            return None
        reason = self.state.get_error().splitlines()[0]
        return InvalidRequest(
            f"The grammar is too complex for the text that it met ({reason}); make it simpler."
        )


class Masks:
    """Finds what grammars allow, for all of a step's sequences at once."""

    def __init__(self, vocabulary: int, device: torch.device) -> None:
        self._words = -(-vocabulary // _WORD)
        self._device = device
        self._executor = LLExecutor(num_threads=2)

    def allowed(self, matchers: Sequence[Matcher]) -> list[TokenMask]:
        """Which tokens may come next in each; takes any thread."""
        bits = torch.zeros(len(matchers), self._words, dtype=torch.int32)
        states = [(matcher.state, row) for row, matcher in enumerate(matchers)]
        self._executor.unsafe_compute_mask_ptr(
            states, bits.data_ptr(), self._words * bits.element_size(), len(matchers)
        )
        return [TokenMask(row) for row in bits.to(self._device)]
