"""`polydelta bench layouts` and `shape`: without a base or a server."""

import json
from pathlib import Path

import pytest

from server.bench.shapes import SHAPES
from tests.kernels import needs_kernels
from tests.server.bench.test_layouts import TINY
from tests.server.cli.conftest import Polydelta


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SHAPES, "tiny", TINY["encoder-decoder"])


@needs_kernels
def test_each_number_of_sequences_is_a_row(polydelta: Polydelta) -> None:
    found = json.loads(polydelta("bench", "layouts", "tiny", "-o", "json").out)
    assert [(each["shape"], each["sequences"]) for each in found] == [("tiny", 1), ("tiny", 16)]
    rows = polydelta("bench", "layouts", "tiny").out.splitlines()
    assert sum(row.split()[:1] == ["tiny"] for row in rows) == 2


def test_a_shape_is_written_as_a_base(polydelta: Polydelta, tmp_path: Path) -> None:
    assert polydelta("bench", "shape", "tiny", str(tmp_path)).code == 0
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {
        file.name for file in tmp_path.iterdir()
    }


@pytest.mark.parametrize("command", [("layouts", "t6"), ("shape", "t6", "any")])
def test_a_shape_that_is_not_there(polydelta: Polydelta, command: tuple[str, ...]) -> None:
    result = polydelta("bench", *command)
    assert result.code == 1
    assert "choose from llama" in " ".join(result.err.split())
