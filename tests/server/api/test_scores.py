"""A classifier's scores are those of Transformers' pipeline, whatever the head was trained for."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    TextClassificationPipeline,
    pipeline,
)

from deltas.delta import ProblemType
from tests import samples
from tests.deltas.formats.peft_checkpoints import save_over
from tests.server.api.live import Live

TEXT = "You won a prize! Call now to claim it."


def reference(base: Path, directory: Path, labels: int, problem: str | None) -> Any:
    """Save a PEFT checkpoint over a base and give the pipeline over the merged model."""
    torch.manual_seed(labels)
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=labels)
    config = LoraConfig(task_type="SEQ_CLS", r=4, target_modules=["query"])
    trained: PeftModel = save_over(model, config, directory)
    merged = trained.merge_and_unload()
    merged.config.problem_type = problem
    if problem:
        (directory / "polydelta.json").write_text(json.dumps({"problem_type": problem}))
    tokenizer = AutoTokenizer.from_pretrained(base)
    found = pipeline("text-classification", model=merged, tokenizer=tokenizer, top_k=None)
    assert isinstance(found, TextClassificationPipeline)
    return found


def scores(live: Live, **parameters: Any) -> dict[str, float]:
    (output,) = live.infer("scored", TEXT, **parameters)["outputs"]
    assert output["score"] == output["scores"][output["label"]] == max(output["scores"].values())
    return output["scores"]


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        (1, None),
        (1, "regression"),
        (1, "multi_label_classification"),
        (3, None),
        (3, "single_label_classification"),
        (3, "multi_label_classification"),
        (3, "regression"),
    ],
)
def test_scores_are_the_pipelines(labels: int, problem: str | None, reader: Live, encoder: Path):
    directory = reader.folder / f"scored-{labels}-{problem}"
    classify = reference(encoder, directory, labels, problem)
    response = reader.http.put("/v1/tasks/scored", json={"source": directory.as_uri()})
    assert response.status_code == 201, response.text
    for function in (None, "none", "sigmoid", "softmax"):
        asked = {"function_to_apply": function} if function else {}
        expected = {each["label"]: each["score"] for each in classify([TEXT], **asked)[0]}
        assert scores(reader, **asked) == pytest.approx(expected, abs=1e-5)
    reader.http.delete("/v1/tasks/scored")


def test_our_own_format_says_what_scores_are(live: Live):
    delta = samples.classifier(live.spec, ("stars",))
    live.add("scored", delta)
    probable = scores(live)["stars"]
    live.add("scored", replace(delta, problem_type=ProblemType.REGRESSION))
    stars = scores(live)["stars"]
    assert float(torch.tensor(stars).sigmoid()) == pytest.approx(probable, abs=1e-6)
    assert scores(live, function_to_apply="sigmoid")["stars"] == probable != stars
    live.http.delete("/v1/tasks/scored")


def test_a_function_must_be_one_of_those_there_are(live: Live):
    asked = {"task": "spam", "input": TEXT, "parameters": {"function_to_apply": "relu"}}
    response = live.post("/v1/infer", **asked)
    assert response.status_code == 400
    assert "function_to_apply" in response.text
