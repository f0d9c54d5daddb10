"""The fuzzers: each makes of a sound checkpoint one that may be anything."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random

from tests.fuzz.seeds import Files, seeds
from tests.fuzz.values import change, written

_LENGTH = 8
_LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 9\n"
_NAMES = (
    "adapter_model.bin", "adapter_model.safetensors", "adapter_config.json", "delta.json",
    "delta.safetensors", "polydelta.json", "adapters.safetensors", "Delta.json", "x.zip",
    "chat_template.jinja", "tokenizer_config.json", "README.md",
)  # fmt: skip

Fuzzer = Callable[[Path, Random], None]
"""Fills an empty directory."""


def configurations(directory: Path, random: Random) -> None:
    """One to three changes in a JSON file."""
    files = dict(random.choice(seeds()))
    name = random.choice([name for name in files if name.endswith(".json")])
    document = json.loads(files[name])
    for _ in range(random.randrange(1, 4)):
        change(document, random)
    _write(directory, files | {name: written(document, random)})


def headers(directory: Path, random: Random) -> None:
    """Changes in a weights file: in its header's JSON, its length or any of its bytes."""
    files = dict(random.choice([seed for seed in seeds() if _weights(seed)]))
    name = random.choice(_weights(files))
    data = files[name]
    size = int.from_bytes(data[:_LENGTH], "little")
    text, body = data[_LENGTH : _LENGTH + size], data[_LENGTH + size :]
    match random.randrange(4):
        case 0:
            data = _spoiled(data, random)
        case 1:
            size = random.choice((0, 1, size - 1, size + 1, 2**20, 2**20 + 1, 2**63, 2**64 - 1))
            data = size.to_bytes(_LENGTH, "little") + text + body
        case _:
            document = json.loads(text)
            for _ in range(random.randrange(1, 4)):
                change(document, random)
            text = written(document, random)
            body = _spoiled(body, random) if random.random() < 0.2 else body
            data = len(text).to_bytes(_LENGTH, "little") + text + body
    _write(directory, files | {name: data})


def directories(directory: Path, random: Random) -> None:
    """Files of several checkpoints under any of their names, absent, linked or of another kind."""
    files = dict(random.choice(seeds()))
    for _ in range(random.randrange(1, 4)):
        name = random.choice([*files, random.choice(_NAMES)])
        match random.randrange(6):
            case 0:
                files.pop(name, None)
            case 1:
                other = random.choice(seeds())
                files[name] = other[random.choice(list(other))]
            case 2:
                files[name] = random.choice((b"", _LFS, b"{}", b"[]", b"PK\x03\x04", b"\x80\x04"))
            case 3 if name in files:
                files[random.choice(_NAMES)] = files.pop(name)
            case 4:
                files[name] = _spoiled(files.get(name, b"{}"), random)
            case _:
                files.pop(name, None)
                _place_odd(directory, name, random)
    _write(directory, files)


FUZZERS: Mapping[str, Fuzzer] = {
    each.__name__: each for each in (headers, configurations, directories)
}


def _weights(files: Files) -> list[str]:
    return [name for name in files if name.endswith(".safetensors")]


def _spoiled(data: bytes, random: Random) -> bytes:
    """Bytes of which some are changed, cut off, doubled or added."""
    place = random.randrange(len(data) + 1)
    match random.randrange(5):
        case 0:
            return data[:place]
        case 1:
            return data + random.randbytes(random.randrange(1, 20))
        case 2:
            return data[:place] + data[place // 2 :]
        case 3:
            return data[:place] + random.randbytes(4) + data[place + 4 :]
        case _:
            flipped = bytearray(data)
            for _ in range(random.randrange(1, 9)):
                if flipped:
                    flipped[random.randrange(len(flipped))] ^= 1 << random.randrange(8)
            return bytes(flipped)


def _place_odd(directory: Path, name: str, random: Random) -> None:
    """Put what is no regular file where one is looked for."""
    path = directory / name
    if path.is_symlink() or path.exists():
        return
    match random.randrange(4):
        case 0:
            path.mkdir()
        case 1:
            os.mkfifo(path)
        case 2:
            path.symlink_to(random.choice(("/etc/passwd", "/dev/zero", name, "delta.json", "..")))
        case _:
            # A file of which only the size is there.
            with path.open("wb") as file:
                file.truncate(random.choice((1, 2**16 + 1, 2**33)))


def _write(directory: Path, files: Files) -> None:
    for name, data in files.items():
        path = directory / name
        if not path.is_symlink() and not path.exists():
            path.write_bytes(data)
