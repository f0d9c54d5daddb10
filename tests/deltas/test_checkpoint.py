"""Files from strangers: whatever is in a directory, reading it is safe and says what is wrong."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deltas import strict_json
from deltas.checkpoint import Checkpoint
from deltas.errors import InvalidDelta, UnsafeDelta
from deltas.header import MAX_ENTRIES, MAX_HEADER

NAME = "weights.safetensors"
SOUND = safetensors.torch.save({"a": torch.ones(2, 3), "b": torch.ones(4, dtype=torch.float16)})


def layout(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(shape: object, end: int, start: int = 0, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def read(directory: Path, content: bytes) -> dict[str, torch.Tensor]:
    (directory / NAME).write_bytes(content)
    return Checkpoint(directory).tensors(NAME)


def test_a_sound_file_is_read(tmp_path: Path) -> None:
    tensors = read(tmp_path, SOUND)
    assert {name: tuple(tensor.shape) for name, tensor in tensors.items()} == {
        "a": (2, 3),
        "b": (4,),
    }


def test_an_outline_has_the_shapes_and_no_memory(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(SOUND)
    outlined = Checkpoint(tmp_path, outline=True).tensors(NAME)
    for name, tensor in read(tmp_path, SOUND).items():
        assert (outlined[name].shape, outlined[name].dtype) == (tensor.shape, tensor.dtype)
        assert outlined[name].device.type == "meta"


UNSOUND: dict[str, bytes] = {
    "empty": b"",
    "shorter than its length": b"\1\0",
    "truncated header": SOUND[:20],
    "truncated data": SOUND[:-1],
    "trailing bytes": SOUND + b"\0",
    "header bomb": (2**40).to_bytes(8, "little") + b"{}",
    "header just too long": layout(b"{" + b" " * MAX_HEADER + b"}"),
    "no object": layout([]),
    "leading space": layout(b" {}"),
    "no tensors": layout({}),
    "nested metadata": layout({"__metadata__": {"a": {}}, "t": entry([1], 4)}, b"\0" * 4),
    "gap": layout({"a": entry([1], 4), "b": entry([1], 12, 8)}, b"\0" * 12),
    "overlap": layout({"a": entry([2], 8), "b": entry([1], 8, 4)}, b"\0" * 8),
    "negative start": layout({"a": entry([1], 0, -4)}),
    "size unlike shape": layout({"a": entry([2], 4)}, b"\0" * 4),
    "zero dimension": layout({"a": entry([0, 2**60], 0)}),
    "negative dimension": layout({"a": entry([-1, -1], 4)}, b"\0" * 4),
    "huge dimension": layout({"a": entry([2**40], 2**42)}),
    "product overflow": layout({"a": entry([2**31, 2**31, 4], 0)}),
    "boolean dimension": layout({"a": entry([True], 4)}, b"\0" * 4),
    "fractional dimension": layout({"a": entry([1.0], 4)}, b"\0" * 4),
    "many dimensions": layout({"a": entry([1] * 100_000, 4)}, b"\0" * 4),
    "five dimensions": layout({"a": entry([1] * 5, 4)}, b"\0" * 4),
    "unknown dtype": layout({"a": entry([1], 4, dtype="F9")}, b"\0" * 4),
    "integers": layout({"a": entry([1], 8, dtype="I64")}, b"\0" * 8),
    "unknown field": layout({"a": entry([1], 4) | {"x": 1}}, b"\0" * 4),
    "missing field": layout({"a": {"dtype": "F32"}}),
    "three offsets": layout({"a": entry([1], 4) | {"data_offsets": [0, 4, 4]}}, b"\0" * 4),
    "no entry": layout({"a": 1}),
    "name with a path": layout({"../../etc/passwd": entry([1], 4)}, b"\0" * 4),
    "name with NUL": layout({"a\0b": entry([1], 4)}, b"\0" * 4),
    "look-alike name": layout({"\u0430": entry([1], 4)}, b"\0" * 4),
    "name too long": layout({"a" * 257: entry([1], 4)}, b"\0" * 4),
    "empty name": layout({"": entry([1], 4)}, b"\0" * 4),
    "duplicate names": layout(
        b'{"a":%s,"a":%s}' % ((json.dumps(entry([1], 4)).encode(),) * 2), b"\0" * 4
    ),
    "header just too deep": layout(b'{"a":' + b"[" * 20 + b"]" * 20 + b"}"),
    "deep header": layout(b'{"a":' + b"[" * 50_000 + b"]" * 50_000 + b"}"),
    "invalid text": layout(b'{"\xff":1}'),
}


@pytest.mark.parametrize("name", UNSOUND)
def test_an_unsound_file_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidDelta):
        read(tmp_path, UNSOUND[name])


def test_more_entries_than_allowed_are_refused(tmp_path: Path) -> None:
    header = {f"{i}": entry([1], 4 * i + 4, 4 * i) for i in range(MAX_ENTRIES + 1)}
    with pytest.raises(InvalidDelta):
        read(tmp_path, layout(header, b"\0" * 4 * len(header)))


def test_a_file_above_the_budget_is_refused_by_its_size_alone(tmp_path: Path) -> None:
    with (tmp_path / NAME).open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(InvalidDelta, match="at most"):
        Checkpoint(tmp_path).tensors(NAME)


@pytest.mark.parametrize("start", [b"\x80\x04\x95", b"PK\x03\x04", b"\x1f\x8b\x08"])
def test_a_pickle_or_archive_under_another_name_is_told(start: bytes, tmp_path: Path) -> None:
    with pytest.raises(UnsafeDelta):
        read(tmp_path, start + b"\xff" * 64)


# As git leaves it where LFS has not fetched the file.
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 9\n".encode()


def test_a_pointer_in_a_files_place_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidDelta, match=r"Git LFS pointer.*git lfs pull"):
        read(tmp_path, POINTER)
    (tmp_path / "config.json").write_bytes(POINTER)
    with pytest.raises(InvalidDelta, match=r"config\.json is a Git LFS pointer"):
        Checkpoint(tmp_path).json("config.json")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "a.pt", "A.PKL", "delta.zip", "x.tar.gz"])
def test_unsafe_files_are_never_opened_and_the_way_round_is_named(
    name: str, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(UnsafeDelta, match=r"save_pretrained|unpack"):
        Checkpoint(tmp_path).tensors(NAME)


def link_to_file(path: Path) -> None:
    target = path.with_name("target")
    target.write_bytes(SOUND)
    path.symlink_to(target)


def link_to_nothing(path: Path) -> None:
    path.symlink_to("/nonexistent")


def link_to_itself(path: Path) -> None:
    path.symlink_to(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize(
    "make", [link_to_file, link_to_nothing, link_to_itself, device, os.mkfifo, Path.mkdir]
)
def test_only_regular_files_are_read(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / NAME)
    with pytest.raises(InvalidDelta):
        Checkpoint(tmp_path).tensors(NAME)
    with pytest.raises(InvalidDelta):
        Checkpoint(tmp_path).json(NAME)


@pytest.mark.parametrize("make", [Path.touch, os.mkfifo, lambda path: None])
def test_a_source_that_is_no_directory_is_refused(make: Any, tmp_path: Path) -> None:
    make(tmp_path / "source")
    with pytest.raises(InvalidDelta):
        Checkpoint(tmp_path / "source")


BAD_JSON: dict[str, bytes] = {
    "empty": b"",
    "list": b"[]",
    "cut off": b'{"a":',
    "duplicate key": b'{"a":1,"a":1}',
    "nested duplicate key": b'{"b":{"a":1,"a":2}}',
    "NaN": b'{"a":NaN}',
    "infinity": b'{"a":-Infinity}',
    "infinite exponent": b'{"a":1e999}',
    "huge integer": b'{"a":' + b"9" * 5000 + b"}",
    "too deep": b'{"a":' + b"[" * 9 + b"]" * 9 + b"}",
    "far too deep": b'{"a":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "too large": b'{"a":"' + b"x" * strict_json.MAX_BYTES + b'"}',
    "invalid text": b'{"a":"\xff"}',
    "byte order mark": b"\xef\xbb\xbf{}",
    "half a surrogate pair": rb'{"a":["\ud800"]}',
    "half a surrogate pair as a key": rb'{"a":{"\udfff":1}}',
}


@pytest.mark.parametrize("name", BAD_JSON)
def test_an_unsound_configuration_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(BAD_JSON[name])
    with pytest.raises(InvalidDelta):
        Checkpoint(tmp_path).json("config.json")


@pytest.mark.parametrize("depth", [9, 100, 500, 700, 900, 980, 1000, 2000])
def test_no_depth_of_nesting_exhausts_the_stack(depth: int, tmp_path: Path) -> None:
    for nested in (b'{"a":' + b"[" * depth + b"]" * depth, b'{"a":' * depth + b"1" + b"}" * depth):
        (tmp_path / "config.json").write_bytes(nested + b"}" * (nested[5:6] == b"["))
        with pytest.raises(InvalidDelta):
            Checkpoint(tmp_path).json("config.json")
        with pytest.raises(InvalidDelta):
            read(tmp_path, layout(nested + b"}" * (nested[5:6] == b"[")))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    )
)
def test_sound_json_means_what_the_standard_library_says(value: Any) -> None:
    text = json.dumps({"value": value}).encode()
    assert strict_json.parse(text, "it") == json.loads(text)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_refused_or_read_as_the_library_reads_it(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = bytearray(SOUND)
    for _ in range(data.draw(st.integers(0, 3))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=8))
    directory = tmp_path_factory.getbasetemp()
    try:
        tensors = read(directory, bytes(content))
    except InvalidDelta:
        return
    expected = safetensors.torch.load(bytes(content))
    assert tensors.keys() == expected.keys()
    for name, tensor in tensors.items():
        assert tensor.shape == expected[name].shape
        assert tensor.numpy().tobytes() == expected[name].numpy().tobytes()


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200) | st.binary(max_size=200).map(layout))
def test_noise_never_raises_anything_else(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    with pytest.raises(InvalidDelta):
        read(tmp_path_factory.getbasetemp(), content)
