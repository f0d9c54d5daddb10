"""Deltas with heads on disk, each with the answer that the reference library gives."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import PeftModel
from torch import Tensor
from torch.nn.functional import linear, normalize
from transformers import PreTrainedModel

from deltas.base import HEAD_SITE, BaseSpec, describe
from deltas.delta import Delta, Part, TaskType
from deltas.formats import native
from server.engine.output import Classified, Embedded, Entity, Output, Tagged
from tests.deltas.formats.peft_checkpoints import reference, save
from tests.models import tiny_model
from tests.server.engine.engines import words
from tests.server.engine.references import PEFT, TOLERANCE, adapt, bottleneck

TASKS = {
    "SEQ_CLS": TaskType.CLASSIFY,
    "TOKEN_CLS": TaskType.TAG,
    "FEATURE_EXTRACTION": TaskType.EMBED,
}
_POOLINGS = {TaskType.CLASSIFY: "first", TaskType.TAG: "all", TaskType.EMBED: "mean"}


@dataclass(frozen=True)
class Headed:
    """A task with a head: what it is, where it is, and the reference's scores for token ids [n].

    Scores are logits [labels], logits [n, labels] or an embedding that is not normalised.
    """

    type: TaskType
    directory: Path
    scores: Callable[[Tensor], Tensor]

    def check(self, tokens: Sequence[int], output: Output) -> None:
        """Fail unless an output for the text of these tokens is the reference's."""
        scores = self.scores(torch.tensor(tokens))
        if self.type is TaskType.EMBED:
            check_embedding(output, scores)
        elif self.type is TaskType.CLASSIFY:
            check_classified(output, scores)
        else:
            _check_tagged(output, scores, tokens)


def headed(family: str, kind: str, task: str, labels: int, folder: Path) -> Headed:
    """A delta of one kind with a head for one of PEFT's task types."""
    directory = folder / f"{kind}-{task}"
    if kind == "bottleneck":
        return _by_hand(family, TASKS[task], labels, directory)
    model = save(family, PEFT[kind](family, task), directory, labels)
    return Headed(TASKS[task], directory, _of_peft(model, TASKS[task]))


def embeds(model: PreTrainedModel) -> Callable[[Tensor], Tensor]:
    """The mean of a plain model's last hidden states."""
    return lambda ids: _states(model, ids).mean(dim=0)


def check_embedding(output: Output, expected: Tensor) -> None:
    """Fail unless an output is this embedding at length 1."""
    assert isinstance(output, Embedded)
    found = torch.tensor(output.embedding)
    torch.testing.assert_close(found, normalize(expected, dim=-1), rtol=0, atol=TOLERANCE)


def _of_peft(model: PeftModel, task: TaskType) -> Callable[[Tensor], Tensor]:
    if task is TaskType.EMBED:
        return lambda ids: reference(model, ids).mean(dim=0)
    if task is TaskType.CLASSIFY:
        return lambda ids: reference(model, ids)
    # Rows of virtual tokens come first.
    return lambda ids: reference(model, ids)[-len(ids) :]


def _by_hand(family: str, task: TaskType, labels: int, directory: Path) -> Headed:
    """Adapters and a linear head over a plain model."""
    model = tiny_model(family)
    base = describe(model, f"tiny-{family}")
    adapters = bottleneck(base, seed=labels)
    adapt(model, base, adapters)
    head = _head(base, task, labels)
    names = tuple(f"LABEL_{index}" for index in range(labels))
    delta = Delta(task, (*adapters, head), () if task is TaskType.EMBED else names)
    native.write(delta, directory, base)

    def scores(ids: Tensor) -> Tensor:
        states = _states(model, ids)
        if task is TaskType.EMBED:
            return states.mean(dim=0)
        row = states[-1] if base.family.causal else states[0]
        return linear(states if task is TaskType.TAG else row, head.tensors["0.weight"])

    return Headed(task, directory, scores)


def _head(base: BaseSpec, task: TaskType, labels: int) -> Part:
    pooling = "last" if base.family.causal else _POOLINGS[task]
    if task is TaskType.EMBED:
        return Part("head", HEAD_SITE, {}, {"pooling": pooling, "normalize": True})
    random = torch.Generator().manual_seed(labels)
    weight = torch.empty(labels, base.hidden).normal_(std=0.3, generator=random)
    return Part("head", HEAD_SITE, {"0.weight": weight}, {"pooling": pooling})


@torch.no_grad()
def _states(model: PreTrainedModel, ids: Tensor) -> Tensor:
    return model.base_model(ids[None], attention_mask=torch.ones(1, len(ids))).last_hidden_state[0]


def check_classified(output: Output, logits: Tensor) -> None:
    """Fail unless an output has the probabilities of these logits."""
    assert isinstance(output, Classified)
    expected = logits.softmax(dim=-1)
    names = [f"LABEL_{index}" for index in range(len(expected))]
    found = torch.tensor([output.scores[name] for name in names])
    torch.testing.assert_close(found, expected, rtol=0, atol=TOLERANCE)
    assert output.label == names[int(expected.argmax())]
    assert len(output.scores) == len(names)


def _check_tagged(output: Output, logits: Tensor, tokens: Sequence[int]) -> None:
    """Each token is a word of its own; neighbours of one label are one entity."""
    assert isinstance(output, Tagged)
    values, best = logits.softmax(dim=-1).max(dim=-1)
    expected: list[Entity] = []
    text = words(tokens)
    start = 0
    for token, label, value in zip(tokens, best.tolist(), values.tolist(), strict=True):
        end, name = start + len(words([token])), f"LABEL_{label}"
        entity = Entity(name, start, end, text[start:end], value)
        if expected and expected[-1].label == name:
            last = expected.pop()
            entity = Entity(name, last.start, end, text[last.start : end], min(value, last.score))
        expected.append(entity)
        start = end + 1
    assert [(e.label, e.start, e.end, e.text) for e in output.entities] == [
        (e.label, e.start, e.end, e.text) for e in expected
    ]
    found = torch.tensor([entity.score for entity in output.entities])
    wanted = torch.tensor([entity.score for entity in expected])
    torch.testing.assert_close(found, wanted, rtol=0, atol=TOLERANCE)
