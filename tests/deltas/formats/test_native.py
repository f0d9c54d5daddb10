"""The native dialect: what is written is what is read, and nothing else is."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from deltas.base import BaseSpec, describe
from deltas.delta import Delta, Option, Part, ProblemType, PromptStyle, TaskType
from deltas.errors import DeltaError, InvalidDelta, UnsafeDelta, UnsupportedDelta, WrongBase
from deltas.formats import files_of, load, native
from deltas.kinds import KINDS, check
from tests.models import tiny_model

OPTIONS: dict[str, dict[str, Option]] = {
    "bottleneck": {"activation": "gelu", "norm_before": True},
    "head": {"pooling": "last"},
    "prefix": {"shift": False},
}


@pytest.fixture(scope="module")
def base() -> BaseSpec:
    return describe(tiny_model("llama"), "tiny")


def parts(base: BaseSpec, kind: str) -> list[Part]:
    generator = torch.Generator().manual_seed(0)
    options = OPTIONS.get(kind, {})
    maker = KINDS[kind]
    return [
        Part(kind, site.name, maker.create(site, options | {"labels": 2}, generator), options)
        for site in maker.sites(base, options)
    ]


def everything(base: BaseSpec) -> Delta:
    found = tuple(part for kind in KINDS for part in parts(base, kind))
    return Delta(TaskType.CLASSIFY, found, ("no", "yes"), PromptStyle.TEXT)


def as_table(delta: Delta) -> dict[tuple[str, str], tuple[dict[str, Any], Any]]:
    return {
        (part.kind, part.site): (
            {name: tensor.tolist() for name, tensor in part.tensors.items()},
            dict(part.options),
        )
        for part in delta.parts
    }


@pytest.mark.parametrize("problem", [None, *ProblemType])
def test_every_kind_survives_writing_and_reading(
    problem: ProblemType | None, base: BaseSpec, tmp_path: Path
) -> None:
    delta = replace(everything(base), problem_type=problem)
    native.write(delta, tmp_path / "new" / "place", base, {"data": "none", "score": 0.5})
    found = load(tmp_path / "new" / "place", base)
    assert as_table(found) == as_table(delta)
    assert found.problem_type is problem
    assert (found.task, found.labels, found.prompt) == (delta.task, delta.labels, delta.prompt)


def test_a_head_without_tensors_needs_no_weights(base: BaseSpec, tmp_path: Path) -> None:
    head = Part("head", "head", {}, {"pooling": "mean", "normalize": True})
    native.write(everything(base), tmp_path, base)
    native.write(Delta(TaskType.EMBED, (head,)), tmp_path, base)
    assert files_of(tmp_path) == {"delta.json"}
    assert as_table(load(tmp_path, base)) == {("head", "head"): ({}, dict(head.options))}


def test_writing_again_replaces_the_delta_and_leaves_other_files(
    base: BaseSpec, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("keep")
    native.write(everything(base), tmp_path, base)
    prompt = Delta(TaskType.GENERATE, tuple(parts(base, "prompt")))
    native.write(prompt, tmp_path, base)
    assert load(tmp_path, base).kinds == ("prompt",)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"notes.txt", "delta.json", "delta.safetensors"}


def test_what_does_not_fit_the_base_is_not_written(base: BaseSpec, tmp_path: Path) -> None:
    wide = Part("prompt", base.family.embedding, {"vectors": torch.ones(3, base.hidden + 1)})
    with pytest.raises(WrongBase):
        native.write(Delta(TaskType.GENERATE, (wide,)), tmp_path, base)
    with pytest.raises(ValueError, match="card"):
        native.write(everything(base), tmp_path, base, {"text": "x" * 70_000})
    assert not list(tmp_path.iterdir())


def test_a_delta_must_be_able_to_do_its_task(base: BaseSpec) -> None:
    lora = tuple(parts(base, "lora"))
    check(Delta(TaskType.GENERATE, lora), base)
    for task in (TaskType.CLASSIFY, TaskType.TAG, TaskType.EMBED):
        with pytest.raises(InvalidDelta, match="needs a head"):
            check(Delta(task, lora), base)
    encoder = describe(tiny_model("bert"), "tiny-bert")
    with pytest.raises(UnsupportedDelta, match="encoder"):
        check(Delta(TaskType.GENERATE, tuple(parts(encoder, "lora"))), encoder)


def test_two_parts_of_one_kind_at_one_site(base: BaseSpec) -> None:
    first, *rest = parts(base, "lora")
    with pytest.raises(InvalidDelta, match="two parts"):
        check(Delta(TaskType.GENERATE, (first, *rest, first)), base)


def test_tensors_come_in_the_serving_precision(base: BaseSpec, tmp_path: Path) -> None:
    native.write(everything(base), tmp_path, base)
    delta = load(tmp_path, base, torch.bfloat16)
    assert {t.dtype for part in delta.parts for t in part.tensors.values()} == {torch.bfloat16}


def test_another_base_of_the_same_shape_is_refused(base: BaseSpec, tmp_path: Path) -> None:
    native.write(everything(base), tmp_path, base)
    with pytest.raises(WrongBase, match="tiny"):
        load(tmp_path, describe(tiny_model("llama", seed=1), "other"))


def test_mismatches_are_listed_five_at_most(base: BaseSpec, tmp_path: Path) -> None:
    narrow = [
        Part("lora", p.site, {"a": torch.ones(2, 7), "b": torch.ones(7, 2)})
        for p in parts(base, "lora")
    ]
    with pytest.raises(WrongBase) as caught:
        native.write(Delta(TaskType.GENERATE, tuple(narrow)), tmp_path, base)
    assert str(caught.value).count("must be") == 5
    assert "9 more" in str(caught.value)


@pytest.mark.parametrize(("kind", "option"), [("lora", "rank"), ("bottleneck", "size")])
def test_small_ranks_are_small(base: BaseSpec, kind: str, option: str) -> None:
    def sized(size: int) -> Delta:
        site = next(iter(KINDS[kind].sites(base, {})))
        tensors = KINDS[kind].create(site, {option: size}, torch.Generator())
        return Delta(TaskType.GENERATE, (Part(kind, site.name, tensors),))

    check(sized(1024), base)
    with pytest.raises(InvalidDelta, match="above 1024"):
        check(sized(1025), base)


Edit = Callable[[dict[str, Any]], Any]
CONFIGS: dict[str, tuple[Edit, type[DeltaError]]] = {
    "another format": (lambda c: c.update(format="x"), UnsupportedDelta),
    "no format": (lambda c: c.pop("format"), UnsupportedDelta),
    "no version": (lambda c: c.pop("version"), UnsupportedDelta),
    "a later version": (lambda c: c.update(version=2), UnsupportedDelta),
    "an unknown field": (lambda c: c.update(scale=2), UnsupportedDelta),
    "no base": (lambda c: c.pop("base"), InvalidDelta),
    "an unknown base field": (lambda c: c["base"].update(revision="x"), UnsupportedDelta),
    "an unknown task": (lambda c: c.update(task="rank"), InvalidDelta),
    "a task of another type": (lambda c: c.update(task=["classify"]), InvalidDelta),
    "an unknown prompt style": (lambda c: c.update(prompt="x"), InvalidDelta),
    "an unknown problem": (lambda c: c.update(problem_type="ranking"), InvalidDelta),
    "a problem of a task that has none": (
        lambda c: c.update(task="generate", problem_type="regression"),
        InvalidDelta,
    ),
    "too few labels": (lambda c: c.update(labels=["a"]), InvalidDelta),
    "labels that are no texts": (lambda c: c.update(labels=[1, 2]), InvalidDelta),
    "an unknown kind": (lambda c: c["kinds"].update(magic={}), UnsupportedDelta),
    "a kind without tensors": (lambda c: c["kinds"].pop("lora"), InvalidDelta),
    "a nested option": (lambda c: c["kinds"]["lora"].update(a={"b": 1}), InvalidDelta),
    "a null option": (lambda c: c["kinds"]["lora"].update(a=None), InvalidDelta),
    "an unknown activation": (
        lambda c: c["kinds"]["bottleneck"].update(activation="exec"),
        UnsupportedDelta,
    ),
    "a list of activations": (
        lambda c: c["kinds"]["bottleneck"].update(activation=["relu"]),
        InvalidDelta,
    ),
    "an option of another kind": (lambda c: c["kinds"]["lora"].update(alpha=64), UnsupportedDelta),
    "a misspelt option": (
        lambda c: c["kinds"]["head"].update(normalise=True),
        UnsupportedDelta,
    ),
    "a flag as a text": (lambda c: c["kinds"]["head"].update(normalize="no"), InvalidDelta),
    "a flag as a number": (lambda c: c["kinds"]["prefix"].update(shift=1), InvalidDelta),
    "a count as a flag": (lambda c: c["kinds"]["lora"].update(rank=True), InvalidDelta),
    "an unknown pooling": (lambda c: c["kinds"]["head"].update(pooling="x"), InvalidDelta),
    "no kinds": (lambda c: c.update(kinds=[]), InvalidDelta),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_wrong_configuration_is_refused(name: str, base: BaseSpec, tmp_path: Path) -> None:
    edit, error = CONFIGS[name]
    native.write(everything(base), tmp_path, base)
    path = tmp_path / native.CONFIG
    config = json.loads(path.read_text())
    edit(config)
    path.write_text(json.dumps(config))
    with pytest.raises(error):
        load(tmp_path, base)


Q = "layers.0.self_attn.q_proj"
TENSORS: dict[str, Edit] = {
    "missing": lambda t: t.pop(f"{Q}:lora:b"),
    "extra": lambda t: t.update({f"{Q}:lora:c": torch.ones(1)}),
    "of no site": lambda t: t.update({"layers.9.x:lora:a": torch.ones(1, 1)}),
    "at another role's site": lambda t: t.update({"head:ia3:scale": torch.ones(32)}),
    "without a kind": lambda t: t.update({"stray": torch.ones(1)}),
    "of an undeclared kind": lambda t: t.update({f"{Q}:dora:m": torch.ones(1)}),
    "of a lower rank than its partner": lambda t: t.update({f"{Q}:lora:a": torch.ones(1, 32)}),
    "of a huge rank": lambda t: t.update(
        {f"{Q}:lora:a": torch.ones(1025, 32), f"{Q}:lora:b": torch.ones(32, 1025)}
    ),
    "not a number": lambda t: t[f"{Q}:lora:a"].view(-1).__setitem__(3, float("nan")),
    "infinite": lambda t: t[f"{Q}:lora:a"].view(-1).__setitem__(3, float("inf")),
    "a prefix in one layer alone": lambda t: (
        t.pop("layers.0.self_attn:prefix:key"),
        t.pop("layers.0.self_attn:prefix:value"),
    ),
    "a prompt longer than the context": lambda t: t.update(
        {"embed_tokens:prompt:vectors": torch.ones(256, 32)}
    ),
}


@pytest.mark.parametrize("name", TENSORS)
def test_wrong_tensors_are_refused(name: str, base: BaseSpec, tmp_path: Path) -> None:
    native.write(everything(base), tmp_path, base)
    tensors = load_file(tmp_path / native.WEIGHTS)
    TENSORS[name](tensors)
    save_file(tensors, tmp_path / native.WEIGHTS)
    with pytest.raises((InvalidDelta, WrongBase)):
        load(tmp_path, base)


def test_weights_must_be_finite_in_the_serving_precision(base: BaseSpec, tmp_path: Path) -> None:
    loud = Part("prompt", base.family.embedding, {"vectors": torch.full((2, base.hidden), 1e5)})
    native.write(Delta(TaskType.GENERATE, (loud,)), tmp_path, base)
    load(tmp_path, base, torch.bfloat16)
    with pytest.raises(InvalidDelta, match="finite"):
        load(tmp_path, base, torch.float16)


@pytest.mark.parametrize(
    ("names", "error"),
    [
        ((), InvalidDelta),
        (("README.md", "Delta.json", "delta.j\u0455on"), InvalidDelta),
        (("delta.zip",), UnsafeDelta),
        (("pytorch_model.bin",), UnsafeDelta),
    ],
)
def test_a_directory_without_a_delta_is_refused(
    names: tuple[str, ...], error: type[DeltaError], base: BaseSpec, tmp_path: Path
) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(error):
        load(tmp_path, base)
    with pytest.raises(error):
        files_of(tmp_path)
