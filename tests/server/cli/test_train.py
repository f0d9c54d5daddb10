import json
from pathlib import Path

import pytest
import torch
import typer
from typer.testing import CliRunner

from deltas.formats import load
from server.cli.train import train
from server.model.base import load_base
from tests.bases import save_base
from tests.server.cli.conftest import Polydelta

app = typer.Typer()
app.command()(train)


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    base = save_base("llama", tmp_path / "base")
    records = [{"input": f"prize {i}", "label": "spam" if i % 2 else "ham"} for i in range(6)]
    data = tmp_path / "data.jsonl"
    data.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    named = {"base": base, "kind": "lora", "data": data, "test": data, "out": tmp_path / "spam"}
    return [f"--{name}={value}" for name, value in named.items()]


def test_a_delta_is_trained_judged_and_written(arguments: list[str], tmp_path: Path) -> None:
    given = [*arguments, "--option", "rank=2", "--option", "targets=q_proj,v_proj", "--epochs=1"]
    result = CliRunner().invoke(app, given, catch_exceptions=False)
    assert result.exit_code == 0
    base = load_base("base", tmp_path / "base", torch.float32, torch.device("cpu"))
    delta = load(tmp_path / "spam", base.spec)
    assert (delta.kinds, delta.labels) == (("lora", "head"), ("ham", "spam"))
    assert {part.site[-6:] for part in delta.parts if part.kind == "lora"} == {"q_proj", "v_proj"}
    card = json.loads((tmp_path / "spam/delta.json").read_text(encoding="utf-8"))["card"]
    assert card["held_out"]["examples"] == 6
    assert card["held_out"]["majority"] == 0.5
    assert "| majority baseline | 0.500 |" in (tmp_path / "spam/README.md").read_text()


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("rnak=4", "no option 'rnak'; it has: rank, targets"),
        ("rank=four", "'rank' must be a whole number"),
        ("rank=4.5", "'rank' must be a whole number"),
        ("rank=-1", "'rank' must be a whole number above 0"),
    ],
)
def test_an_option_is_one_of_the_kind(
    polydelta: Polydelta, arguments: list[str], option: str, reason: str
) -> None:
    result = polydelta("train", *arguments, "--option", option)
    assert result.code == 1
    assert reason in result.err
    assert "Loading" not in result.err


def test_a_list_may_have_one_element(
    polydelta: Polydelta, arguments: list[str], tmp_path: Path
) -> None:
    given = ("--option", "rank=2", "--option", "targets=q_proj", "--epochs=0.1")
    assert polydelta("train", *arguments, *given).code == 0
    kinds = json.loads((tmp_path / "spam/delta.json").read_text(encoding="utf-8"))["kinds"]
    assert kinds["lora"] == {"rank": 2, "targets": ["q_proj"]}


@pytest.mark.parametrize("option", ["rank", "rank=", "=2"])
def test_an_option_is_a_name_and_a_value(arguments: list[str], option: str) -> None:
    result = CliRunner().invoke(app, [*arguments, "--option", option])
    assert result.exit_code == 2
    assert "NAME=VALUE" in result.output
