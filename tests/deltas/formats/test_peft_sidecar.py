"""polydelta.json: what a PEFT directory cannot say itself."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel
from torch.nn.functional import normalize

from deltas.base import BaseSpec, describe
from deltas.delta import ProblemType, PromptStyle
from deltas.errors import DeltaError, UnsupportedDelta
from deltas.formats import files_of, load
from tests.deltas.formats.peft_checkpoints import reference, save
from tests.deltas.running import run
from tests.models import tiny_model

IDS = torch.tensor([5, 17, 80, 3, 44, 101, 9])
POOLINGS = {
    "first": lambda states: states[0],
    "last": lambda states: states[-1],
    "mean": lambda states: states.mean(dim=0),
}


@pytest.fixture(scope="module")
def base() -> BaseSpec:
    return describe(tiny_model("llama"), "tiny")


def lora(directory: Path, family: str, task: str, **sidecar: Any) -> PeftModel:
    targets = ["q_proj"] if family == "llama" else ["query"]
    model = save(family, LoraConfig(task_type=task, r=4, target_modules=targets), directory)
    if sidecar:
        (directory / "polydelta.json").write_text(json.dumps(sidecar))
    return model


@pytest.mark.parametrize("pooling", POOLINGS)
def test_it_says_how_states_become_an_embedding(pooling: str, tmp_path: Path) -> None:
    embedder = lora(tmp_path, "bert", "FEATURE_EXTRACTION", pooling=pooling)
    expected = POOLINGS[pooling](reference(embedder, IDS))
    model = tiny_model("bert")
    found = run(model, load(tmp_path, describe(model, "tiny")), IDS)
    torch.testing.assert_close(found, normalize(expected, dim=-1), rtol=0, atol=1e-5)


def test_a_decoder_embeds_only_if_it_says_how(base: BaseSpec, tmp_path: Path) -> None:
    lora(tmp_path, "llama", "CAUSAL_LM")
    config = tmp_path / "adapter_config.json"
    config.write_text(
        json.dumps(json.loads(config.read_text()) | {"task_type": "FEATURE_EXTRACTION"})
    )
    with pytest.raises(UnsupportedDelta, match=r"add polydelta\.json"):
        load(tmp_path, base)
    (tmp_path / "polydelta.json").write_text(json.dumps({"pooling": "last"}))
    assert load(tmp_path, base).kinds == ("lora", "head")
    assert "polydelta.json" in files_of(tmp_path)


def test_it_names_labels_and_how_texts_are_prompted(base: BaseSpec, tmp_path: Path) -> None:
    lora(tmp_path, "llama", "SEQ_CLS")
    assert load(tmp_path, base).labels == ("LABEL_0", "LABEL_1", "LABEL_2")
    assert load(tmp_path, base).prompt is PromptStyle.CHAT
    (tmp_path / "polydelta.json").write_text(
        json.dumps({"labels": ["no", "yes", "both"], "prompt": "text"})
    )
    delta = load(tmp_path, base)
    assert (delta.labels, delta.prompt) == (("no", "yes", "both"), PromptStyle.TEXT)


def test_it_says_what_scores_are_before_the_bases_configuration(tmp_path: Path) -> None:
    plain = describe(tiny_model("bert"), "tiny")
    ranker = describe(tiny_model("bert", problem_type="regression"), "tiny")
    lora(tmp_path, "bert", "SEQ_CLS", problem_type=None)
    assert load(tmp_path, plain).problem_type is None
    assert load(tmp_path, ranker).problem_type is ProblemType.REGRESSION
    said = {"problem_type": "multi_label_classification"}
    (tmp_path / "polydelta.json").write_text(json.dumps(said))
    for base in (plain, ranker):
        assert load(tmp_path, base).problem_type is ProblemType.MULTI_LABEL


@pytest.mark.parametrize("task", ["TOKEN_CLS", "FEATURE_EXTRACTION"])
def test_tasks_that_are_no_classifiers_have_no_problem(task: str, tmp_path: Path) -> None:
    ranker = describe(tiny_model("bert", problem_type="regression"), "tiny")
    lora(tmp_path, "bert", task)
    assert load(tmp_path, ranker).problem_type is None


@pytest.mark.parametrize(
    "sidecar",
    [
        {"labels": ["a"]},
        {"labels": "abc"},
        {"x": 1},
        {"prompt": "x"},
        {"pooling": ["mean"]},
        {"problem_type": "ranking"},
    ],
)
def test_a_wrong_one_is_refused(sidecar: dict[str, Any], base: BaseSpec, tmp_path: Path) -> None:
    lora(tmp_path, "llama", "SEQ_CLS", **sidecar)
    with pytest.raises(DeltaError):
        load(tmp_path, base)
