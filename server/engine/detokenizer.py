"""The detokenizer: a choice's tokens as text, whole characters only, cut at stop strings."""

from collections.abc import Sequence

from tokenizers.decoders import DecodeStream
from transformers import PreTrainedTokenizerFast

from server.engine.output import FinishReason, Piece


class Detokenizer:
    """Turns one choice's tokens into pieces of text as they come.

    Text that may be the beginning of a stop string is held back until that is decided.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, index: int, stop: Sequence[str]) -> None:
        self._backend = tokenizer.backend_tokenizer
        self._stream = DecodeStream(skip_special_tokens=True)
        self._index = index
        self._stop = tuple(stop)
        self._undecided: list[int] = []
        self._held = ""

    def push(self, token: int | None, finish: FinishReason | None) -> Piece | None:
        """Add a token, if any, and return the text that is now certain.

        Returns None while there is nothing to say. A piece that finishes is the choice's last,
        whether by `finish` or by a stop string.
        """
        self._held += self._decode(token)
        if finish is not None:
            self._held += self._backend.decode(self._undecided, skip_special_tokens=True)
        cut = self._cut()
        if cut is not None:
            return self._piece(cut, "stop")
        if finish is not None:
            return self._piece(len(self._held), finish)
        certain = len(self._held) - self._doubtful()
        return self._piece(certain, None) if certain else None

    def _decode(self, token: int | None) -> str:
        if token is None:
            return ""
        self._undecided.append(token)
        text = self._step(token)
        if text:
            self._undecided.clear()
        return text

    def _step(self, token: int) -> str:
        try:
            return self._stream.step(self._backend, token) or ""
        except Exception:
            # Bytes that are no character can change how those before them decode, which the
            # stream takes for an error; what has been said stays and a new stream goes on.
            self._stream = DecodeStream(skip_special_tokens=True)
            return self._stream.step(self._backend, token) or ""

    def _cut(self) -> int | None:
        found = [at for stop in self._stop if (at := self._held.find(stop)) >= 0]
        return min(found, default=None)

    def _doubtful(self) -> int:
        """The length of the longest tail that begins a stop string."""
        longest = max((len(stop) for stop in self._stop), default=1) - 1
        for length in range(min(longest, len(self._held)), 0, -1):
            tail = self._held[-length:]
            if any(stop.startswith(tail) for stop in self._stop):
                return length
        return 0

    def _piece(self, length: int, finish: FinishReason | None) -> Piece:
        text, self._held = self._held[:length], self._held[length:]
        return Piece(self._index, text, finish)
