"""Matchers: how far one sequence's text has come in its grammar."""

from collections.abc import Iterator, Sequence

import torch
from llguidance import LLExecutor, LLMatcher
from torch import Tensor

from server.engine.ending import MOST, Endings
from server.errors import InvalidRequest

_WORD = 32
_BITS = torch.tensor([1 << bit for bit in range(8)], dtype=torch.uint8)


class Matcher:
    """What may follow a sequence's generated tokens; each choice of a request has its own."""

    def __init__(self, state: LLMatcher, endings: Endings) -> None:
        self.state = state
        self._endings = endings
        self._ending: list[int] = []
        self._near = MOST

    def copy(self) -> "Matcher":
        """Another one that has come as far."""
        return Matcher(self.state.deep_copy(), self._endings)

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
        here = self._endings.find(self.state, self._ending, room + 1)
        after = self.state.deep_copy()
        if here is None or not after.consume_token(token):
            # Looking for an end takes time: again after half of the way.
            self._near = room // 2
            return None
        found = self._endings.find(after, here)
        if found is None or len(found) <= room:
            self._ending = found or []
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
    """Finds what grammars forbid, for all of a step's sequences at once."""

    def __init__(self, vocabulary: int, device: torch.device) -> None:
        self._vocabulary = vocabulary
        self._device = device
        self._executor = LLExecutor(num_threads=2)

    def forbidden(self, matchers: Sequence[Matcher]) -> Tensor:
        """Which tokens may not come next, as booleans [matchers, vocabulary]; takes any thread."""
        words = -(-self._vocabulary // _WORD)
        bits = torch.zeros(len(matchers), words, dtype=torch.int32)
        states = [(matcher.state, row) for row, matcher in enumerate(matchers)]
        self._executor.unsafe_compute_mask_ptr(
            states, bits.data_ptr(), words * bits.element_size(), len(matchers)
        )
        unset = (bits.view(torch.uint8)[:, :, None] & _BITS) == 0
        return unset.flatten(1)[:, : self._vocabulary].to(self._device)
