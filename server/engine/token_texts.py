"""Token texts: what single tokens stand for, down to bytes that are no whole characters."""

import json
import re
from functools import lru_cache
from typing import Any, Self

from tokenizers.pre_tokenizers import ByteLevel
from transformers import PreTrainedTokenizerFast

_BYTE = re.compile("<0x([0-9A-F]{2})>")
_SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
"""What SentencePiece writes for a space."""

_KEPT = 1 << 16
"""Tokens whose bytes are remembered."""


class TokenTexts:
    """What each of a tokenizer's tokens stands for; one after another they make up a text.

    The bytes are those of the token itself, whatever is beside it: a decoder that takes the space
    off a text's beginning does not take it off a token.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._backend = tokenizer.backend_tokenizer
        added = tokenizer.added_tokens_decoder
        self._added = set(added)
        self._special = {token for token, each in added.items() if each.special}
        steps = {step["type"]: step for step in _steps(self._backend.decoder)}
        self._byte_level = "ByteLevel" in steps
        self._falls_back = "ByteFallback" in steps
        self._spaces = "Metaspace" in steps or steps.get("Replace", {}).get("pattern") == {
            "String": _SPACE
        }
        self.bytes = lru_cache(_KEPT)(self._bytes)
        """The bytes of a token, none for an id without one."""

    @classmethod
    @lru_cache(maxsize=2)
    def of(cls, tokenizer: PreTrainedTokenizerFast) -> Self:
        """The one for a tokenizer."""
        return cls(tokenizer)

    def text(self, token: int) -> str:
        r"""The token as text; one that is no whole characters as `bytes:\xf0\x9f`."""
        found = self.bytes(token)
        try:
            return found.decode()
        except UnicodeDecodeError:
            return "bytes:" + "".join(map(_shown, found))

    def shown(self, token: int) -> bytes:
        """The bytes that a token adds to a text from which special tokens are left out."""
        return b"" if token in self._special else self.bytes(token)

    def replacements(self, part: bytes) -> int:
        """How many U+FFFD a decoder writes for bytes that only begin a character."""
        return 1 if self._byte_level else len(part)

    def _bytes(self, token: int) -> bytes:
        piece = self._backend.id_to_token(token)
        if piece is None:
            return b""
        if self._byte_level:
            # The decoder, too, takes a piece of other letters as it is.
            named = _bytes_by_letter()
            known = all(letter in named for letter in piece)
            return bytes(map(named.__getitem__, piece)) if known else piece.encode()
        if token in self._added:
            return piece.encode()
        byte = _BYTE.fullmatch(piece) if self._falls_back else None
        if byte:
            return bytes.fromhex(byte[1])
        if self._spaces:
            return piece.replace(_SPACE, " ").encode()
        return self._backend.decode([token], skip_special_tokens=False).encode()


def _shown(byte: int) -> str:
    return chr(byte) if chr(byte).isprintable() and byte < 0x7F else f"\\x{byte:02x}"


def _steps(decoder: Any) -> list[dict[str, Any]]:
    """A decoder's steps, as it describes them itself."""
    if decoder is None:
        return []
    found = json.loads(decoder.__getstate__())
    return found["decoders"] if found["type"] == "Sequence" else [found]


@lru_cache(maxsize=1)
def _bytes_by_letter() -> dict[str, int]:
    """The byte that each letter of the byte level stands for (Radford et al., 2019, GPT-2)."""
    alphabet = sorted(ByteLevel.alphabet())
    own = {letter: ord(letter) for letter in alphabet if ord(letter) < 0x100}
    # Bytes that are not printable have letters from U+0100 on, in the bytes' order.
    others = (byte for byte in range(0x100) if chr(byte) not in own)
    rest = (letter for letter in alphabet if letter not in own)
    return own | dict(zip(rest, others, strict=True))
