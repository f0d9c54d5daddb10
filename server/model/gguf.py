"""Bases in GGUF files: converted once to safetensors, which load in a tenth of the time."""

import hashlib
import logging
import tempfile
from pathlib import Path

import torch
from gguf import GGUFReader, Keys
from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig, PreTrainedTokenizerFast

from server.errors import BaseNotFound

_log = logging.getLogger(__name__)

_EDITION = 2
"""Counts up when a file's copy changes, so that one made before is not taken for it."""

_DIGITS_APART = {
    "codeshell", "command-r", "exaone", "minerva-7b", "refact", "smollm", "starcoder",
}  # fmt: skip
"""Pre-tokenizers that cut GPT-2's way, each digit alone: by these names llama.cpp knows them
(src/llama-vocab.cpp), and Transformers takes them for GPT-2's own."""


def converted(file: Path, cache: Path) -> Path:
    """Return the directory of the file's safetensors copy, made on first use.

    The copy is keyed by the file's digest and our edition, and appears whole or not at all. It is
    kept at float32: dequantised values are not exact at half that width. Raises BaseNotFound if
    the file is damaged or of an unknown architecture.
    """
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    target = cache / "bases" / f"{file.stem}-{digest[:12]}-{_EDITION}"
    if not target.is_dir():
        _log.info("Converting %s to safetensors, once: about half a minute.", file.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".partial-") as partial:
            whole = Path(partial) / "whole"
            _convert(file, whole)
            _publish(whole, target)
    return target


def _convert(file: Path, target: Path) -> None:
    try:
        _save(file, target)
    except Exception as error:  # the readers of the format raise whatever they trip over
        raise BaseNotFound(f"{file.name} cannot be converted: {error}") from error


def _save(file: Path, target: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(
        file.parent,
        gguf_file=file.name,
        dtype=torch.float32,
        quantization_config=GgufConfig(dequantize=True),
    )
    model.save_pretrained(target)
    _tokenizer(file).save_pretrained(target)


def _tokenizer(file: Path) -> PreTrainedTokenizerFast:
    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    cutting = GGUFReader(file).get_field(Keys.Tokenizer.PRE)
    if cutting is not None and cutting.contents() in _DIGITS_APART:
        apart = [Digits(individual_digits=True), ByteLevel(add_prefix_space=False)]
        tokenizer.backend_tokenizer.pre_tokenizer = Sequence(apart)
    return tokenizer


def _publish(whole: Path, target: Path) -> None:
    try:
        whole.rename(target)
    except OSError:
        # Another process was faster; the digest says that its copy is the same.
        if not target.is_dir():
            raise
