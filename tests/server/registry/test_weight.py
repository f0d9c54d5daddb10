"""What puts take of memory: judged by the header first, one copy at a time, given back."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from deltas.formats import native
from tests.forked import forked
from tests.server.registry.weigh import SITES, WIDTH, weigh, wide_base

MIB = 1 << 20
RANK = 8
SIZE = len(SITES) * 2 * RANK * WIDTH * 4
SLACK = 48 * MIB


def write(directory: Path, sites: Sequence[str], rank: int = RANK) -> Path:
    """Write LoRAs of zeros, which take no room on disk."""
    base = wide_base()
    header: dict[str, object] = {}
    end = 0
    for site in sites:
        for name, shape in (("a", [rank, WIDTH]), ("b", [WIDTH, rank])):
            start, end = end, end + 4 * rank * WIDTH
            place = {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
            header[f"{site}:lora:{name}"] = place
    text = json.dumps(header).encode()
    directory.mkdir()
    with (directory / native.WEIGHTS).open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)
    about = {"name": base.name, "fingerprint": base.fingerprint}
    told = {"format": "polydelta", "version": 1, "base": about, "task": "generate"}
    told |= {"prompt": "chat", "kinds": {"lora": {}}}
    (directory / native.CONFIG).write_text(json.dumps(told))
    return directory


def weighed(folder: Path, limit: int | None, *directories: Path) -> list[tuple[str, int, int]]:
    """How each put but the first ended, what it took at most and what it kept."""
    log, found = folder / "log", folder / "found"
    with forked(weigh, folder / "store", limit, directories, found, log=log) as process:
        process.join()
    assert process.exitcode == 0, log.read_text()
    return [(ended, most, kept) for ended, most, kept in json.loads(found.read_text())]


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return write(tmp_path / "small", SITES[:1], 1)


def test_a_large_delta_is_held_once_and_given_back(small: Path, tmp_path: Path) -> None:
    large = write(tmp_path / "large", SITES)
    again = write(tmp_path / "again", SITES, RANK + 1)
    unknown = write(tmp_path / "unknown", [f"{site}.nowhere" for site in SITES])
    found = weighed(tmp_path, None, small, unknown, large, again)
    assert [ended for ended, _, _ in found] == ["wrong_base", "put", "put"]
    # What does not fit the base is refused by its header.
    assert found[0][1] < SLACK
    for _, most, kept in found[1:]:
        assert most < 1.2 * SIZE + SLACK
        assert kept < SLACK


@pytest.mark.parametrize("limit", [SIZE // 2, SIZE])
def test_without_memory_a_delta_is_refused_and_others_are_put(
    limit: int, small: Path, tmp_path: Path
) -> None:
    large = write(tmp_path / "large", SITES, 2 * RANK)
    found = weighed(tmp_path, limit, small, large, small, large, small)
    assert [ended for ended, _, _ in found] == ["insufficient_memory", "put"] * 2
    assert found[0][2] < SLACK
