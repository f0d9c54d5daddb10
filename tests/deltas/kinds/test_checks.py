"""What a kind asks of its tensors and options; who gives others is told what fits."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch

from deltas.base import AFTER_FEED_FORWARD, HEAD_SITE, BaseSpec, describe
from deltas.delta import Delta, Option, Part, TaskType
from deltas.errors import DeltaError, InvalidDelta, UnsupportedDelta
from deltas.kinds import KINDS, check
from tests.models import tiny_model

LAYER = "layers.0"
SHAPES: dict[str, tuple[str, dict[str, tuple[int, ...]]]] = {
    "lora": (f"{LAYER}.self_attn.q_proj", {"a": (2, 32), "b": (32, 2)}),
    "bottleneck": (
        f"{LAYER}.{AFTER_FEED_FORWARD}",
        {"down": (2, 32), "down_bias": (2,), "up": (32, 2), "up_bias": (32,)},
    ),
    "prefix": (f"{LAYER}.self_attn", {"key": (3, 2, 8), "value": (3, 2, 8)}),
    "prompt": ("embed_tokens", {"vectors": (3, 32)}),
    "head": (HEAD_SITE, {"0.weight": (2, 32)}),
}
FREE = {"lora": "a", "bottleneck": "down", "prefix": "key", "prompt": "vectors", "head": "0.weight"}
"""The tensors whose first axis is free to be of any length but none."""
OPTIONS: Mapping[str, Option] = {"pooling": "last"}


@pytest.fixture(scope="module")
def base() -> BaseSpec:
    return describe(tiny_model("llama"), "tiny")


def part(kind: str, **changes: tuple[int, ...]) -> Part:
    site, shapes = SHAPES[kind]
    tensors = {name: torch.ones(shape) for name, shape in (shapes | changes).items()}
    return Part(kind, site, tensors, dict(OPTIONS) if kind == "head" else {})


@pytest.mark.parametrize("kind", SHAPES)
def test_what_fits_is_taken(kind: str, base: BaseSpec) -> None:
    KINDS[kind].check(base.sites[SHAPES[kind][0]], part(kind))


@pytest.mark.parametrize("kind", SHAPES)
def test_what_has_no_measure_is_refused(kind: str, base: BaseSpec) -> None:
    site, shapes = SHAPES[kind]
    name = FREE[kind]
    dimensions = len(shapes[name])
    absent = part(kind)
    flat, empty = part(kind, **{name: (4,)}), part(kind, **{name: (0, *shapes[name][1:])})
    wrong = [flat, empty]
    if kind != "head":
        tensors = {key: tensor for key, tensor in absent.tensors.items() if key != name}
        wrong.append(replace(absent, tensors=tensors))
    for each in wrong:
        with pytest.raises(InvalidDelta, match=f"non-empty tensor '{name}' of {dimensions} dim"):
            KINDS[kind].check(base.sites[site], each)


HEADS: dict[str, tuple[Part, TaskType, tuple[str, ...], type[DeltaError], str]] = {
    "two labels of one name": (
        part("head"), TaskType.CLASSIFY, ("a", "a"), InvalidDelta, "same name",
    ),
    "too few labels": (
        part("head"), TaskType.CLASSIFY, ("a",), InvalidDelta, "2 outputs but 1 labels",
    ),
    "labels of nothing": (
        Part("head", HEAD_SITE, {}, dict(OPTIONS)), TaskType.CLASSIFY, ("a",), InvalidDelta,
        "0 outputs but 1 labels",
    ),
    "an answer a row that is one": (
        part("head"), TaskType.TAG, ("a", "b"), InvalidDelta, "go together",
    ),
    "one answer that is one a row": (
        replace(part("head"), options={"pooling": "all"}), TaskType.CLASSIFY, ("a", "b"),
        InvalidDelta, "go together",
    ),
    "a pooler that is not there": (
        replace(part("head"), options={"pooling": "pooler"}), TaskType.CLASSIFY, ("a", "b"),
        UnsupportedDelta, "no pooler",
    ),
    "an activation too many": (
        replace(part("head"), options={**OPTIONS, "activations": ["tanh", "tanh"]}),
        TaskType.CLASSIFY, ("a", "b"), InvalidDelta, "must name 0 or 1",
    ),
    "an unknown activation": (
        replace(
            part("head", **{"1.weight": (2, 2)}), options={**OPTIONS, "activations": ["magic"]}
        ),
        TaskType.CLASSIFY, ("a", "b"), UnsupportedDelta, "'magic' is not known; choose one of relu",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HEADS)
def test_a_head_that_cannot_answer_is_refused(name: str, base: BaseSpec) -> None:
    head, task, labels, error, reason = HEADS[name]
    with pytest.raises(error, match=reason):
        check(Delta(task, (head,), labels), base)


def test_layers_of_a_head_take_what_the_one_before_gives(base: BaseSpec) -> None:
    options = {**OPTIONS, "activations": ["tanh"]}
    stacked = replace(part("head", **{"0.weight": (5, 32), "1.weight": (2, 5)}), options=options)
    check(Delta(TaskType.CLASSIFY, (stacked,), ("a", "b")), base)
    for shapes in ({"1.weight": (2, 32)}, {"1.weight": (2, 5), "0.bias": (4,)}):
        wrong = replace(part("head", **({"0.weight": (5, 32)} | shapes)), options=options)
        with pytest.raises(DeltaError, match="must be"):
            check(Delta(TaskType.CLASSIFY, (wrong,), ("a", "b")), base)
