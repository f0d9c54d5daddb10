"""Tokenizers beside a delta: equal to the base's in what changes answers, or refused by name."""

import hashlib
import json
import logging
import os
import subprocess
import sys
from io import BufferedReader
from pathlib import Path

from deltas.checkpoint import Checkpoint
from deltas.errors import InvalidDelta, UnsupportedDelta
from deltas.formats.chat_template import MAX_CONFIG, TEMPLATE, TOKENIZER_CONFIG
from deltas.strict_json import Json
from deltas.tokenizer import ROLES, TOKENIZER, TokenizerSpec

SPECIAL_TOKENS = "special_tokens_map.json"
ADDED_TOKENS = "added_tokens.json"

MAX_TOKENIZER = 64 * 1024**2
"""Greatest size of a tokenizer.json in bytes; a vocabulary of 262,144 tokens takes half of that."""

_log = logging.getLogger(__name__)

_JUDGE = Path(__file__).with_name("tokenizer_judge.py")
_SECONDS = 60.0


def check_tokenizer(checkpoint: Checkpoint, base: TokenizerSpec) -> None:
    """Hold the files of a tokenizer against the base's.

    Special tokens by what they are for, every token's number and how added ones are matched are
    compared; padding, cutting to a length and a file's layout are not. Sample texts that become
    other tokens are a warning: the base's rules may have been lost on its way through a format.
    Raises UnsupportedDelta naming the first difference, InvalidDelta for files that are unsound.
    """
    differences = _roles(checkpoint, base) or _tokens(checkpoint, base)
    if differences:
        raise UnsupportedDelta(
            f"The tokenizer beside the delta is not the base's: {differences}. If it was trained "
            f"with the base's own, leave the tokenizer's files out; {TEMPLATE} may stay."
        )


def _roles(checkpoint: Checkpoint, base: TokenizerSpec) -> str:
    for name in (TOKENIZER_CONFIG, SPECIAL_TOKENS):
        if name not in checkpoint.names:
            continue
        fields = checkpoint.json(name, MAX_CONFIG)
        for role in ROLES:
            found, ours = _content(fields.get(role)), base.roles.get(role)
            if role in fields and found != ours:
                return f"its {role} is {_shown(found)}, the base's {_shown(ours)}"
    return ""


def _content(token: Json) -> Json:
    """A special token is its text, or a table with it."""
    return token.get("content") if isinstance(token, dict) else token


def _shown(token: Json) -> str:
    return "none" if token is None else repr(str(token)[:64])


def _tokens(checkpoint: Checkpoint, base: TokenizerSpec) -> str:
    if base.file is None:
        return ""
    if TOKENIZER in checkpoint.names:
        return _judged(checkpoint, TOKENIZER, base.file)
    if ADDED_TOKENS in checkpoint.names:
        return _judged(checkpoint, ADDED_TOKENS, base.file)
    return ""


def _judged(checkpoint: Checkpoint, name: str, base: Path) -> str:
    """How a file differs, told by a process: libraries parse it without letting anyone else run."""
    with checkpoint.open(name) as (file, size):
        if size > MAX_TOKENIZER:
            raise InvalidDelta(f"{name} has {size} bytes; at most {MAX_TOKENIZER} are allowed.")
        with base.open("rb") as ours:
            if _digest(file) == _digest(ours):
                return ""
        # The process reads where the system's own position is.
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        # -P: the working directory may hold modules, too.
        command = [sys.executable, "-P", str(_JUDGE), name, str(base)]
        try:
            done = subprocess.run(
                command, stdin=file, capture_output=True, timeout=_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise InvalidDelta(f"{name} takes too long to read.") from None
    if done.returncode:
        raise InvalidDelta(f"{name} cannot be read as a tokenizer.")
    against, remark = json.loads(done.stdout)
    if remark:
        _log.warning("The tokenizer beside a delta is not quite the base's: %s.", remark)
    return against


def _digest(file: BufferedReader) -> bytes:
    return hashlib.file_digest(file, "sha256").digest()
