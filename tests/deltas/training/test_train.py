import hashlib

import pytest
import torch
from transformers import PreTrainedModel

from deltas.delta import Delta, TaskType
from deltas.errors import DeltaError
from deltas.training.course import Course
from deltas.training.encoding import Encoded
from deltas.training.examples import Example
from deltas.training.material import Material
from deltas.training.recipe import InvalidRecipe, Recipe
from deltas.training.train import Diverged, batches
from tests.deltas.training.lessons import KINDS, LABELLED, WRITTEN, recipe_of
from tests.deltas.training.subjects import TinySubject

_FAMILIES = ("llama", "bert")


def _train(
    subject: TinySubject, recipe: Recipe, examples: list[Example]
) -> tuple[Delta, list[float]]:
    losses: list[float] = []
    course = Course(subject, recipe, Material(examples))
    return course.train(lambda *step: losses.append(step[-1])), losses


def _digest(model: PreTrainedModel) -> str:
    digest = hashlib.sha256()
    for parameter in model.parameters():
        digest.update(parameter.detach().numpy().tobytes())
    return digest.hexdigest()


@pytest.mark.parametrize("family", _FAMILIES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_learns_and_leaves_the_base_alone(kind: str, family: str) -> None:
    subject = TinySubject(family)
    before = _digest(subject.model)
    delta, losses = _train(subject, recipe_of(kind), LABELLED)
    assert delta.kinds == (kind, "head")
    assert sum(losses[-3:]) < 0.8 * sum(losses[:3])
    assert _digest(subject.model) == before


@pytest.mark.parametrize("kind", KINDS)
def test_text_is_learnt(kind: str) -> None:
    subject = TinySubject("llama")
    delta, losses = _train(subject, recipe_of(kind), WRITTEN)
    assert (delta.task, delta.kinds) == (TaskType.GENERATE, (kind,))
    assert sum(losses[-3:]) < 0.9 * sum(losses[:3])


def test_the_seed_decides() -> None:
    def weights(seed: int) -> torch.Tensor:
        delta, _ = _train(TinySubject("llama"), recipe_of("lora", epochs=2, seed=seed), LABELLED)
        return torch.cat([t.flatten() for part in delta.parts for t in part.tensors.values()])

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


def test_a_prefix_is_stored_without_its_mlp() -> None:
    delta, _ = _train(TinySubject("llama"), recipe_of("prefix", epochs=1), WRITTEN)
    assert [set(part.tensors) for part in delta.parts] == [{"key", "value"}] * 2
    assert all(not t.requires_grad for part in delta.parts for t in part.tensors.values())


def test_only_the_last_layers_are_touched_if_asked() -> None:
    recipe = Recipe("lora", {"rank": 2}, layers=1, epochs=1, tokens=32)
    delta, _ = _train(TinySubject("llama"), recipe, LABELLED)
    assert {part.site.split(".")[1] for part in delta.parts if part.kind == "lora"} == {"1"}


def test_more_layers_than_the_base_s_are_refused() -> None:
    with pytest.raises(InvalidRecipe, match="layers must be 2 at most"):
        _train(TinySubject("llama"), Recipe("lora", layers=3), LABELLED)


@pytest.mark.parametrize("kind", ["lora", "ia3"])
@pytest.mark.parametrize("targets", [["nope"], ["q_proj", "nope"]])
def test_targets_that_the_base_lacks_are_refused(kind: str, targets: list[str]) -> None:
    with pytest.raises(DeltaError, match=r"no projection 'nope'; its layers have: q_proj, k_proj"):
        _train(TinySubject("llama"), Recipe(kind, {"targets": targets}), LABELLED)


def test_a_prefix_in_some_layers_is_refused() -> None:
    with pytest.raises(DeltaError, match="all 2 layers"):
        _train(TinySubject("llama"), Recipe("prefix", layers=1), LABELLED)


def test_a_rate_too_high_is_told() -> None:
    with pytest.raises(Diverged, match="learning rate"):
        _train(TinySubject("llama"), recipe_of("bottleneck", rate=1e30), LABELLED)


def test_batches_hold_every_example_once_an_epoch() -> None:
    examples = [Encoded([0] * (1 + i % 5), [i]) for i in range(10)]
    drawn = batches(examples, size=3, seed=0)
    epoch = [next(drawn) for _ in range(4)]
    assert sorted(one.targets[0] for batch in epoch for one in batch) == list(range(10))
