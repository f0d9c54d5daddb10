"""Families are records: read from JSON, small, and known by name nowhere else."""

import ast
import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest

from deltas.errors import UnsupportedBase
from deltas.families import FAMILIES
from deltas.families.record import read_record

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", FAMILIES)
def test_every_record_is_data(name: str, tmp_path: Path) -> None:
    file = tmp_path / "record.json"
    file.write_text(json.dumps(asdict(FAMILIES[name])))
    assert read_record(file, {}) == FAMILIES[name]


def test_a_record_may_be_like_another(tmp_path: Path) -> None:
    file = tmp_path / "record.json"
    file.write_text(json.dumps({"like": "gpt2", "name": "gpt3", "key_heads": "heads"}))
    found = read_record(file, FAMILIES)
    assert (found.name, found.layers, found.key_heads) == ("gpt3", "h", "heads")


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"like": "gpt9"}, "choose one of"),
        ({"like": "gpt2", "code": "import os"}, "'code' is no field"),
        ({"like": "gpt2", "pre_norm": {"norm": 1}}, "'pre_norm.norm' is no field"),
        ({"like": "gpt2", "causal": "yes"}, "'causal' cannot be yes"),
        ({"like": "gpt2", "prefixes": [1]}, "'prefixes' cannot be"),
        ({"name": "mine"}, "lacks causal, layers"),
    ],
)
def test_what_is_no_record_is_refused(said: dict[str, object], reason: str, tmp_path: Path) -> None:
    file = tmp_path / "record.json"
    file.write_text(json.dumps(said))
    with pytest.raises(UnsupportedBase, match=reason):
        read_record(file, FAMILIES)


def test_a_record_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedBase, match="cannot be read"):
        read_record(tmp_path / "none.json", FAMILIES)


def test_no_code_asks_for_a_familys_name() -> None:
    asked = re.compile(r"(family\.name|model_type)\s*(==|!=|in\b)|(==|!=)\s*\w*\.?(family\.name)")
    for file in (*ROOT.glob("deltas/**/*.py"), *ROOT.glob("server/**/*.py")):
        assert not asked.search(file.read_text()), file


@pytest.mark.parametrize("file", ["decoders", "encoders", "encoder_decoders"])
def test_a_record_is_twenty_lines_at_most(file: str) -> None:
    source = (ROOT / "deltas/families" / f"{file}.py").read_text()
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    sizes = [(node.end_lineno or 0) - node.lineno + 1 for node in calls]
    assert max(sizes) <= 20
