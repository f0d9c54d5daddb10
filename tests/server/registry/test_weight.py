"""What puts take of memory: judged by the header first, one copy at a time, given back."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from deltas.formats import native
from tests.server.registry.weigh import SITES, WIDTH, wide_base

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


def weighed(store: Path, limit: int, *directories: Path) -> list[tuple[str, int, int]]:
    """How each put ended, what it took at most and what it kept."""
    command = [sys.executable, "-m", "tests.server.registry.weigh", str(store), str(limit)]
    done = subprocess.run(
        [*command, *map(str, directories)], stdout=subprocess.PIPE, text=True, check=True
    )
    lines = [line.split() for line in done.stdout.splitlines()]
    return [(ended, int(most), int(kept)) for ended, most, kept in lines]


def test_a_large_delta_is_held_once_and_given_back(tmp_path: Path) -> None:
    large = write(tmp_path / "large", SITES)
    again = write(tmp_path / "again", SITES, RANK + 1)
    # The first one pays for what PyTorch loads when it is first used.
    for ended, most, kept in weighed(tmp_path / "store", 0, large, again):
        assert ended == "put"
        assert most < 1.2 * SIZE + SLACK
        assert kept < SLACK


def test_what_does_not_fit_the_base_is_refused_by_its_header(tmp_path: Path) -> None:
    unknown = write(tmp_path / "unknown", [f"{site}.nowhere" for site in SITES])
    ((ended, most, _),) = weighed(tmp_path / "store", 0, unknown)
    assert ended == "wrong_base"
    assert most < SLACK


@pytest.mark.parametrize("limit", [SIZE // 2, SIZE])
def test_without_memory_a_delta_is_refused_and_others_are_put(limit: int, tmp_path: Path) -> None:
    large = write(tmp_path / "large", SITES, 2 * RANK)
    small = write(tmp_path / "small", SITES[:1], 1)
    found = weighed(tmp_path / "store", limit, small, large, small, large, small)
    assert [ended for ended, _, _ in found] == ["put", *["insufficient_memory", "put"] * 2]
    assert found[1][2] < SLACK
