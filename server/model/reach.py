"""How much of a text tokens can stand for, as far as a tokenizer's own description tells."""

import json
from dataclasses import dataclass
from typing import Any

from tokenizers.pre_tokenizers import ByteLevel
from transformers import PreTrainedTokenizerFast

_KEEPING = {"ByteLevel", "Digits", "Metaspace", "Punctuation", "Split"}
"""Pre-tokenizers that lose nothing of a text."""

_COMPOSING = 4
"""NFC may write as one byte what were four at most: 3.5 is the worst in Unicode."""


@dataclass(frozen=True, slots=True)
class Reach:
    """A token stands for `bytes_per_token` bytes of UTF-8 at most, besides those in `unseen`.

    None where there is no such number: a text of any length may then be one token, or none.
    """

    bytes_per_token: int | None = None
    unseen: bytes = b""

    def fewest_tokens(self, text: str) -> int:
        """A number of tokens that a text has in any case."""
        if self.bytes_per_token is None:
            return 0
        seen = len(text.encode().translate(None, self.unseen))
        return -(-seen // self.bytes_per_token)


ENDLESS = Reach()


def reach_of(tokenizer: PreTrainedTokenizerFast) -> Reach:
    """Derive a tokenizer's reach.

    It is without bounds where white space is dropped, characters are unknown or words are cut.
    """
    description: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    splitters = _steps(description["pre_tokenizer"], "pretokenizers")
    normalizers = _steps(description["normalizer"], "normalizers")
    added = description["added_tokens"]
    model = description["model"]
    byte_level = any(each["type"] == "ByteLevel" for each in splitters)
    unseen = _unseen(model["vocab"]) if byte_level else b""
    if (
        model["type"] != "BPE"
        or not (byte_level or _falls_back(model))
        or any(token["lstrip"] or token["rstrip"] for token in added)
        or not all(map(_loses_nothing, splitters))
        or not all(map(_shortens_little, normalizers))
        or (unseen and normalizers)
    ):
        return ENDLESS
    # A token of the byte level has a character for each byte.
    lengths = [len(token if byte_level else token.encode()) for token in model["vocab"]]
    longest = max(lengths + [len(token["content"].encode()) for token in added])
    return Reach(longest * (_COMPOSING if normalizers else 1), unseen)


def _steps(part: dict[str, Any] | None, inner: str) -> list[dict[str, Any]]:
    if part is None:
        return []
    if inner in part:
        return [step for each in part[inner] for step in _steps(each, inner)]
    return [part]


def _loses_nothing(splitter: dict[str, Any]) -> bool:
    return splitter["type"] in _KEEPING and splitter.get("behavior") != "Removed"


def _shortens_little(normalizer: dict[str, Any]) -> bool:
    if normalizer["type"] == "Replace":
        old = normalizer["pattern"].get("String")
        return old is not None and len(old.encode()) <= len(normalizer["content"].encode())
    return normalizer["type"] in ("NFC", "Prepend")


def _falls_back(model: dict[str, Any]) -> bool:
    known = all(f"<0x{byte:02X}>" in model["vocab"] for byte in range(256))
    return bool(model["byte_fallback"]) and known


def _unseen(vocabulary: dict[str, int]) -> bytes:
    """The bytes that have no token: the model passes over them."""
    planes = (range(0x800), range(0x800, 0xD800, 0x800), range(0xE000, 0x110000, 0x1000))
    every_byte = "".join(chr(point) for plane in planes for point in plane)
    splitter = ByteLevel(add_prefix_space=False, use_regex=False)
    ((letters, _),) = splitter.pre_tokenize_str(every_byte)
    named = dict(zip(every_byte.encode(), letters, strict=True))
    return bytes(byte for byte, letter in named.items() if letter not in vocabulary)
