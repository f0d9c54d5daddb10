"""What was trained is what is served: the padded forward pass against the runner's packed one."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from deltas.base import BaseSpec
from deltas.delta import Delta
from deltas.formats import load, native
from deltas.kinds import extent_of
from deltas.training.course import Course
from deltas.training.encoding import IGNORED, Encoded
from deltas.training.examples import Example
from deltas.training.forward import Forward
from deltas.training.material import Material
from server.model.base import Base
from server.model.batch import Item
from server.model.runner import Runner
from tests.deltas.training.lessons import KINDS, LABELLED, MARKED, WRITTEN, recipe_of
from tests.deltas.training.subjects import TinySubject

_BLOCKS = 4
_SEQUENCES = ([5, 9, 33, 7], [5, 9, 33, 7, 80, 11, 12])


@pytest.mark.parametrize("family", ["llama", "bert", "distilbert"])
@pytest.mark.parametrize("kind", KINDS)
def test_labels(kind: str, family: str, tmp_path: Path) -> None:
    delta = _trained(family, kind, LABELLED, tmp_path)
    trained = _answers(family, delta, [Encoded(tokens, [0]) for tokens in _SEQUENCES])
    runner, hidden = _served(family, delta)
    for scores, rows in zip(trained, hidden, strict=True):
        torch.testing.assert_close(scores, runner.scores(1, rows), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_tags(kind: str, tmp_path: Path) -> None:
    delta = _trained("bert", kind, MARKED, tmp_path)
    trained = _answers("bert", delta, [Encoded(tokens, [0] * len(tokens)) for tokens in _SEQUENCES])
    runner, hidden = _served("bert", delta)
    virtual = extent_of(delta, runner.base.spec).rows
    scores = [runner.scores(1, rows) for rows in hidden]
    served = torch.cat([each[virtual:] for each in scores if each is not None])
    torch.testing.assert_close(trained, served, atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", ["gemma3_text", "gpt2"])
@pytest.mark.parametrize("kind", KINDS)
def test_text(kind: str, family: str, tmp_path: Path) -> None:
    delta = _trained(family, kind, WRITTEN, tmp_path)
    last = [Encoded(tokens, [IGNORED] * (len(tokens) - 1) + [0]) for tokens in _SEQUENCES]
    runner = _runner(family, delta)
    served = runner.forward(_items(delta, runner.base.spec, writes=True)).logits
    torch.testing.assert_close(_answers(family, delta, last), served, atol=1e-5, rtol=0)


def _trained(family: str, kind: str, examples: Sequence[Example], folder: Path) -> Delta:
    subject = TinySubject(family)
    delta = Course(subject, recipe_of(kind, epochs=1), Material(examples)).train(lambda *_: None)
    native.write(delta, folder, subject.spec)
    return load(folder, subject.spec)


@torch.no_grad()
def _answers(family: str, delta: Delta, batch: Sequence[Encoded]) -> Tensor:
    return Forward(TinySubject(family)).answers(delta, batch)


def _runner(family: str, delta: Delta) -> Runner:
    subject = TinySubject(family)
    base = Base(subject.spec, subject.model, subject.tokenizer)
    runner = Runner(base, cache_blocks=_BLOCKS * len(_SEQUENCES))
    runner.wiring.install(1, delta)
    return runner


def _served(family: str, delta: Delta) -> tuple[Runner, list[Tensor]]:
    runner = _runner(family, delta)
    hidden = runner.forward(_items(delta, runner.base.spec, writes=False)).hidden
    return runner, [hidden[index] for index in range(len(_SEQUENCES))]


def _items(delta: Delta, base: BaseSpec, *, writes: bool) -> list[Item]:
    extent = extent_of(delta, base)
    return [
        Item(
            slot=1,
            tokens=[0] * extent.rows + tokens,
            offset=0,
            extent=extent,
            blocks=range(index * _BLOCKS, (index + 1) * _BLOCKS),
            wants_logits=writes,
            wants_hidden=not writes,
        )
        for index, tokens in enumerate(_SEQUENCES)
    ]
