"""Bases in GGUF files: converted once to safetensors, which load in a tenth of the time."""

import hashlib
import logging
import tempfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from server.errors import BaseNotFound

_log = logging.getLogger(__name__)


def converted(file: Path, cache: Path) -> Path:
    """Return the directory of the file's safetensors copy, made on first use.

    The copy is keyed by the file's digest and appears whole or not at all. It is kept at float32:
    dequantised values are not exact at half that width. Raises BaseNotFound if the file is
    damaged or of an unknown architecture.
    """
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    target = cache / "bases" / f"{file.stem}-{digest[:12]}"
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
    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    tokenizer.save_pretrained(target)


def _publish(whole: Path, target: Path) -> None:
    try:
        whole.rename(target)
    except OSError:
        # Another process was faster; the digest says that its copy is the same.
        if not target.is_dir():
            raise
