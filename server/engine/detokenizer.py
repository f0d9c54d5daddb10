"""The detokenizer: a choice's tokens as text, whole characters only, cut at stop strings."""

from codecs import getincrementaldecoder
from collections.abc import Sequence

from transformers import PreTrainedTokenizerFast

from server.engine.output import FinishReason, Piece
from server.engine.token_texts import TokenTexts

_CONTEXT = 16
"""So many tokens hold more than special ones and one character's bytes."""


class Detokenizer:
    """Turns one choice's tokens into pieces of text as they come.

    `context` are the tokens that the text continues; a decoder that takes the space off a text's
    beginning takes it off theirs. Text that may be the beginning of a stop string is held back
    until that is decided, and part of a character until it is whole, if that ever comes. What ends
    within the first `least` tokens stops nothing. Special tokens are part of the text where
    `special` says so.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        index: int,
        stop: Sequence[str],
        context: Sequence[int] = (),
        least: int = 0,
        *,
        special: bool = False,
    ) -> None:
        self._backend = tokenizer.backend_tokenizer
        self._index = index
        self._skips = not special
        self._stop = tuple(stop)
        # Tokens decode by what is before them: those told last, then those not told yet.
        self._told = list(context[-_CONTEXT:])
        self._new: list[int] = []
        self._held = ""
        self._early = least
        """So many tokens more are written before one may complete a stop string."""
        self._safe = 0
        """The length of the held text that those tokens have written."""
        self._texts = TokenTexts.of(tokenizer)
        # The characters in the bytes of the tokens not told yet; what is none counts as one.
        self._bytes = getincrementaldecoder("utf-8")("replace")
        self._decoded = 0
        self._ahead = 0
        self.offset = 0
        """The index, in the whole text, of the character that the last token belongs to."""

    def push(self, token: int | None, finish: FinishReason | None) -> Piece | None:
        """Add a token, if any, and return the text that is now certain.

        Returns None while there is nothing to say. A piece that finishes is the choice's last,
        whether by `finish` or by a stop string.
        """
        spelt = self._texts.shown if self._skips else self._texts.bytes
        self._count(b"" if token is None else spelt(token))
        if token is not None:
            self._new.append(token)
        self._held += self._decode(finish)
        if self._early:
            self._early -= token is not None
            self._safe = len(self._held)
        cut = self._cut()
        if cut is not None:
            return self._piece(cut, "stop")
        if finish is not None:
            return self._piece(len(self._held), finish)
        certain = len(self._held) - self._doubtful()
        return self._piece(certain, None) if certain else None

    def _count(self, spelt: bytes) -> None:
        self.offset = self._decoded + self._ahead
        if spelt:
            # The first byte tells whether those before it were part of its character.
            ahead = len(self._bytes.decode(spelt[:1]))
            part, _ = self._bytes.getstate()
            self.offset += ahead if part else ahead - 1
            self._ahead += ahead + len(self._bytes.decode(spelt[1:]))

    def _decode(self, finish: FinishReason | None) -> str:
        """The text of the new tokens; none yet if they end within a character and more may come."""
        part, _ = self._bytes.getstate()
        if part and finish is None:
            return ""
        before, text = self._text(self._told), self._text(self._told + self._new)
        # Bytes that are no character can change how those before them decode; what has been told
        # stays as it is.
        text = text[len(before) :] if text.startswith(before) else self._text(self._new)
        if part and finish == "length":
            text = text[: -self._texts.replacements(part)]
        self._decoded += len(text)
        self._ahead = 0
        if text:
            self._told, self._new = self._new, []
        return text

    def _text(self, tokens: list[int]) -> str:
        return self._backend.decode(tokens, skip_special_tokens=self._skips)

    def _cut(self) -> int | None:
        found = [
            at
            for stop in self._stop
            if (at := self._held.find(stop, max(0, self._safe - len(stop) + 1))) >= 0
        ]
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
        self._safe = max(0, self._safe - length)
        return Piece(self._index, text, finish)
