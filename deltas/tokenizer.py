"""The base's tokenizer as deltas see it: it reads all texts, whatever lies beside a delta."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedTokenizerFast

TOKENIZER = "tokenizer.json"

ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "cls_token", "mask_token")
"""The special tokens that change answers; nothing is padded, so that the one for it does not."""


@dataclass(frozen=True, slots=True)
class TokenizerSpec:
    """What a tokenizer beside a delta can be held against.

    `file` is the base's own tokenizer.json, None where it has none; `roles` are the special tokens
    by what they are for.
    """

    file: Path | None
    roles: Mapping[str, str]

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerFast, directory: Path) -> "TokenizerSpec":
        """Describe a tokenizer that was loaded from a directory."""
        file = directory / TOKENIZER
        named = tokenizer.special_tokens_map
        roles = {role: str(named[role]) for role in ROLES if role in named}
        return cls(file if file.is_file() else None, roles)
