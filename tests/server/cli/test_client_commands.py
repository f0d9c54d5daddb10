import io
import json
import shutil
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from server.cli import printing
from tests.deltas.formats.peft_checkpoints import quietly
from tests.server.cli.conftest import LABELS, Polydelta

pytestmark = pytest.mark.usefixtures("at_server")


def test_a_classifier_shows_its_labels(polydelta: Polydelta) -> None:
    result = polydelta("infer", "spam", "You won a prize!")
    assert result.code == 0
    assert all(label in result.out for label in LABELS)


def test_json_holds_the_whole_answer(polydelta: Polydelta) -> None:
    answer = json.loads(polydelta("infer", "spam", "You won!", "-o", "json").out)
    assert answer["task"] == "spam"
    assert answer["kind"] == "lora+head"
    assert set(answer["outputs"][0]["scores"]) == set(LABELS)


def test_scores_are_what_is_asked_for(polydelta: Polydelta) -> None:
    def scores(*function: str) -> dict[str, float]:
        asked = ("infer", "spam", "You won!", "-o", "json", *function)
        return json.loads(polydelta(*asked).out)["outputs"][0]["scores"]

    logits = scores("--function-to-apply", "none")
    found = torch.tensor([logits[label] for label in LABELS]).softmax(0)
    expected = scores()
    torch.testing.assert_close(found, torch.tensor([expected[label] for label in LABELS]))


def test_a_stream_prints_the_same_text(polydelta: Polydelta) -> None:
    asked = ("infer", "base", "The meeting", "--max-tokens", "12")
    whole, streamed = polydelta(*asked), polydelta(*asked, "--stream")
    assert whole.code == streamed.code == 0
    assert whole.out == streamed.out
    assert whole.out.strip()


def test_a_dash_reads_standard_input(polydelta: Polydelta, monkeypatch: pytest.MonkeyPatch) -> None:
    direct = polydelta("infer", "spam", "hello there").out
    monkeypatch.setattr("sys.stdin", io.StringIO("hello there"))
    assert polydelta("infer", "spam", "-").out == direct


def test_a_task_is_added_shown_and_removed(polydelta: Polydelta, spam: Path) -> None:
    assert polydelta("task", "add", "other", str(spam)).code == 0
    listed = json.loads(polydelta("task", "ls", "-o", "json").out)
    assert {"spam", "other"} <= {task["id"] for task in listed}
    assert "lora+head" in polydelta("task", "show", "other").out
    assert polydelta("task", "rm", "other").code == 0
    assert "other" not in polydelta("task", "ls").out


def test_an_upload_is_shown_on_a_terminal_alone(
    polydelta: Polydelta, spam: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "delta.safetensors" not in polydelta("task", "add", "other", str(spam)).err
    monkeypatch.setattr(printing.err, "_force_terminal", True)
    shown = polydelta("task", "add", "other", str(spam))
    assert shown.code == 0
    assert "delta.safetensors" in shown.err
    assert "version" in shown.err
    polydelta("task", "rm", "other", "--forever")


def test_versions_are_a_table(polydelta: Polydelta, spam: Path, tmp_path: Path) -> None:
    shutil.copytree(spam, tmp_path / "told")
    told = tmp_path / "told/delta.json"
    config = json.loads(told.read_text())
    told.write_text(json.dumps(config | {"card": {"accuracy": 0.875}}))
    for source in (spam, tmp_path / "told"):
        polydelta("task", "add", "other", str(source))
    polydelta("task", "alias", "other", "champion", "2")
    heading, second, first = polydelta("task", "versions", "other").out.splitlines()
    assert all(word in heading for word in ("NUMBER", "SIZE", "SOURCE", "SCORES", "ALIASES"))
    assert all(word in second for word in ("lora+head", "upload", "accuracy 0.875", "champion"))
    assert "accuracy" not in first
    listed = json.loads(polydelta("task", "versions", "other", "-o", "json").out)
    assert [each["card"] for each in listed] == [{"accuracy": 0.875}, None]
    assert "lora+head" in polydelta("task", "show", "other@1").out
    polydelta("task", "rm", "other", "--forever")


def test_traffic_is_shared_shown_and_ended(
    polydelta: Polydelta, spam: Path, tmp_path: Path
) -> None:
    shutil.copytree(spam, tmp_path / "told")
    told = tmp_path / "told/delta.json"
    told.write_text(json.dumps(json.loads(told.read_text()) | {"card": {}}))
    polydelta("task", "add", "other", str(spam))
    added = polydelta("task", "add", "other", str(tmp_path / "told"), "--no-activate")
    assert "(2) does not answer yet" in added.err
    shared = polydelta("task", "traffic", "other", "v1=1", "v2=3", "--step-back", "0.5")
    heading, second, first = shared.out.splitlines()
    assert all(word in heading for word in ("NUMBER", "SHARE", "FIRST TOKEN", "LIKENESS"))
    assert ("75 %" in second, "25 %" in first) == (True, True)
    told_again = json.loads(polydelta("task", "traffic", "other", "-o", "json").out)
    assert told_again["step_back"] == {"errors": 0.5, "window": 60, "requests": 20}
    looks: list[float] = []

    def look_twice(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 2:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("server.cli.traffic.sleep", look_twice)
        watched = polydelta("task", "traffic", "other", "--watch")
    assert (watched.code, watched.out.count("25 %")) == (0, 2)
    assert polydelta("task", "traffic", "other", "--watch", "--end").code == 2
    shadowed = polydelta("task", "traffic", "other", "--shadow", "2")
    assert "0 compared" in shadowed.out
    assert polydelta("task", "traffic", "other", "--end").code == 0
    assert "answers alone" in polydelta("task", "traffic", "other").err
    for wrong in (("v1",), ("v1=x",), ("v1=1", "v1=2"), ("--step-back", "0.5"), ("v1=1", "--end")):
        assert polydelta("task", "traffic", "other", *wrong).code == 2
    polydelta("task", "rm", "other", "--forever")


def test_a_task_that_changes_nothing_is_added_with_a_warning(
    polydelta: Polydelta, decoder: Path, tmp_path: Path
) -> None:
    model = AutoModelForCausalLM.from_pretrained(decoder)
    config = LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"])
    with quietly():
        get_peft_model(model, config).save_pretrained(str(tmp_path))
    added = polydelta("task", "add", "idle", str(tmp_path))
    assert added.code == 0
    assert "warning: The kind 'lora' changes nothing" in added.err
    assert "changes nothing" in polydelta("task", "show", "idle").out
    polydelta("task", "rm", "idle")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("infer", "spm", "x"), "Did you mean spam?"),
        (("task", "rm", "absent"), "There is no task 'absent'"),
        (("task", "add", "x", "/not/here"), "/not/here"),
        (("task", "add", "org/x", "."), "1 to 128 of the characters A-Z a-z 0-9 . _ -"),
        (("task", "add", "x", __file__), "No delta was found"),
        (("infer", "spam", "x", "--stream"), "spam"),
    ],
)
def test_a_mistake_costs_one_line(
    polydelta: Polydelta, arguments: tuple[str, ...], message: str
) -> None:
    result = polydelta(*arguments)
    assert result.code == 1
    assert result.out == ""
    assert result.err.startswith("error: ")
    assert message in result.err
    assert result.err.count("\n") == 1


def test_a_url_needs_its_scheme(polydelta: Polydelta) -> None:
    result = polydelta("task", "ls", "--url", "localhost:8000")
    assert result.code == 2
    assert "http://" in result.err


def test_without_a_server_the_way_to_one_is_named(polydelta: Polydelta) -> None:
    result = polydelta("task", "ls", "--url", "http://127.0.0.1:1")
    assert result.code == 1
    assert "polydelta demo starts one" in result.err
