import json
from pathlib import Path

import pytest
import torch
import typer
from typer.testing import CliRunner

from deltas.formats import load
from deltas.training.course import Course
from server.cli.train import train
from server.model.base import load_base
from tests.bases import save_base
from tests.server.cli.conftest import Polydelta

app = typer.Typer()
app.command()(train)


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    base = save_base("llama", tmp_path / "base")
    data = write_examples(tmp_path / "data.jsonl", 6)
    named = {"base": base, "kind": "lora", "data": data, "test": data, "out": tmp_path / "spam"}
    return [f"--{name}={value}" for name, value in named.items()]


def write_examples(path: Path, count: int) -> Path:
    records = [{"input": f"prize {i}", "label": "spam" if i % 2 else "ham"} for i in range(count)]
    path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    return path


def test_a_delta_is_trained_judged_and_written(arguments: list[str], tmp_path: Path) -> None:
    given = [*arguments, "--option", "rank=2", "--option", "targets=q_proj,v_proj", "--epochs=1"]
    result = CliRunner().invoke(app, given, catch_exceptions=False)
    assert result.exit_code == 0
    base = load_base("base", tmp_path / "base", torch.float32, torch.device("cpu"))
    delta = load(tmp_path / "spam", base.spec)
    assert (delta.kinds, delta.labels) == (("lora", "head"), ("ham", "spam"))
    assert {part.site[-6:] for part in delta.parts if part.kind == "lora"} == {"q_proj", "v_proj"}
    card = json.loads((tmp_path / "spam/delta.json").read_text(encoding="utf-8"))["card"]
    (held_out,) = card["held_out"]
    assert (held_out["held_out"], held_out["examples"], held_out["majority"]) == ("data", 6, 0.5)
    page = (tmp_path / "spam/README.md").read_text()
    assert f"| data | 6 | {held_out['delta']:.3f} | 0.500 | {held_out['bare']:.3f} |" in page


def test_what_was_trained_is_kept_though_its_judging_fails(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(Course, "judge")
    assert isinstance(CliRunner().invoke(app, [*arguments, "--epochs=1"]).exception, AttributeError)
    base = load_base("base", tmp_path / "base", torch.float32, torch.device("cpu"))
    assert load(tmp_path / "spam", base.spec).labels == ("ham", "spam")


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


def test_each_held_out_file_has_its_line_and_the_next_command_is_told(
    polydelta: Polydelta, arguments: list[str], tmp_path: Path
) -> None:
    other = write_examples(tmp_path / "other.jsonl", 4)
    result = polydelta("train", *arguments, f"--test={other}", "--epochs=0.1")
    assert result.code == 0
    headings, *lines = (line.split() for line in result.out.splitlines())
    assert headings[:4] == ["HELD", "OUT", "EXAMPLES", "ACCURACY"]
    assert [line[:2] for line in lines] == [["data", "6"], ["other", "4"]]
    out = tmp_path / "spam"
    assert f"{out}: lora+head, " in result.err
    assert f"polydelta serve {tmp_path / 'base'} --task spam={out}\n" in result.err
    assert f"polydelta task add spam {out}\n" in result.err


def test_without_a_terminal_each_tenth_is_a_line(
    polydelta: Polydelta, arguments: list[str]
) -> None:
    lines = polydelta("train", *arguments, "--epochs=20", "--batch=4").err.splitlines()
    told = [line for line in lines if line.startswith("Step ")]
    assert [line.split(",")[0] for line in told] == [f"Step {3 * i} of 30" for i in range(1, 11)]
    assert lines.index("Judging it by the held-out examples …") > lines.index(told[-1])


def test_a_delta_that_is_no_better_is_said_to_be(
    polydelta: Polydelta, arguments: list[str], tmp_path: Path
) -> None:
    (tmp_path / "train.csv").write_text("text,label\na,ham\nb,ham\nc,ham\nd,spam\n")
    (tmp_path / "ham.csv").write_text("text,label\ne,ham\nf,ham\n")
    given = [argument for argument in arguments if not argument.startswith(("--data", "--test"))]
    files = (f"--data={tmp_path / 'train.csv'}", f"--test={tmp_path / 'ham.csv'}")
    result = polydelta("train", *given, *files, "--epochs=0.1")
    assert "On ham this delta is no better than a constant answer" in result.err


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("--data=/not/here.jsonl", "/not/here.jsonl"),
        ("--epochs=0", "epochs must be a number above 0"),
        ("--layers=0", "layers must be 1 at least"),
        ("--out=/dev/null/spam", "nothing can be written to /dev/null/spam (Not a directory)"),
    ],
)
def test_what_is_wrong_is_found_before_the_base_is_loaded(
    polydelta: Polydelta, arguments: list[str], given: str, reason: str
) -> None:
    result = polydelta("train", *arguments, given)
    assert result.code != 0
    assert reason in " ".join(result.err.split())
    assert "Loading" not in result.err


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (["--layers=999"], "layers must be 2 at most"),
        (["--option", "targets=q_proj,nope"], "no projection 'nope'; its layers have: q_proj"),
    ],
)
def test_what_the_base_lacks_is_found_before_training(
    polydelta: Polydelta, arguments: list[str], given: list[str], reason: str, tmp_path: Path
) -> None:
    result = polydelta("train", *arguments, *given)
    assert result.code == 1
    assert reason in result.err
    assert not list((tmp_path / "spam").iterdir())


def test_one_example_is_refused(polydelta: Polydelta, arguments: list[str], tmp_path: Path) -> None:
    write_examples(tmp_path / "data.jsonl", 1)
    result = polydelta("train", *arguments)
    assert result.code == 1
    assert "Training needs 4 examples at least, and 50 to be of use; there is 1." in result.err
    assert "Loading" not in result.err


def test_an_earlier_delta_is_kept_unless_told_otherwise(
    polydelta: Polydelta, arguments: list[str], tmp_path: Path
) -> None:
    given = ("train", *arguments, "--epochs=0.1")
    assert polydelta(*given).code == 0
    first = (tmp_path / "spam/delta.safetensors").read_bytes()
    refused = polydelta(*given, "--seed=1")
    assert refused.code == 2
    assert "holds delta.json, delta.safetensors, README.md already" in " ".join(refused.err.split())
    assert "Loading" not in refused.err
    assert (tmp_path / "spam/delta.safetensors").read_bytes() == first
    assert polydelta(*given, "--seed=1", "--overwrite").code == 0
    assert (tmp_path / "spam/delta.safetensors").read_bytes() != first


def test_a_table_of_numbers_is_trained_on(
    polydelta: Polydelta, arguments: list[str], tmp_path: Path
) -> None:
    table = tmp_path / "data.csv"
    table.write_text("text,label\n" + "".join(f"prize {i},{i % 2}\n" for i in range(6)))
    given = [argument for argument in arguments if not argument.startswith(("--data", "--test"))]
    assert polydelta("train", *given, f"--data={table}", "--epochs=0.1").code == 0
    written = json.loads((tmp_path / "spam/delta.json").read_text(encoding="utf-8"))
    assert written["labels"] == ["0", "1"]
    assert written["card"]["held_out"] == []
