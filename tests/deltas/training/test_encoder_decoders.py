"""Encoder-decoders: a text's loss given its source, as PEFT has it, and what is served of it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import IA3Config, LoraConfig, PeftConfig, PeftModel, TaskType
from torch import Tensor
from torch.nn.functional import cross_entropy

from deltas.delta import Delta, PromptStyle
from deltas.formats import load, native
from deltas.kinds import extent_of
from deltas.training.course import Course
from deltas.training.encoding import Encoded, Encoder, targets_of
from deltas.training.examples import Example, InvalidExamples, Labelled, Written, labels_of
from deltas.training.forward import Forward
from deltas.training.material import Material
from server.engine.output import Generated
from server.engine.request import Request
from server.model.base import Base
from server.model.batch import Item, SourceItem
from server.model.runner import Runner
from tests.bases import VOCABULARY
from tests.deltas.formats.peft_checkpoints import quietly
from tests.deltas.training.lessons import KINDS, LABELLED, MARKED, WRITTEN, recipe_of
from tests.deltas.training.subjects import TinySubject
from tests.encoder_decoders import FAMILIES, tiny_encoder_decoder
from tests.server.engine.engines import ask, serving, tiny_engine

_BLOCKS = 6
_TARGETS = {
    "t5": ["q", "k", "v", "o", "wi", "wo"],
    "bart": ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"],
}
_NAMES = {"a": "lora_A.default.weight", "b": "lora_B.default.weight", "scale": "ia3_l.default"}


@pytest.mark.parametrize("family", _TARGETS)
@pytest.mark.parametrize("kind", ["lora", "ia3"])
def test_a_trained_delta_is_to_peft_what_it_was_to_training(kind: str, family: str) -> None:
    subject = TinySubject(family)
    delta = _trained(subject, kind)
    reference = _in_peft(family, kind, delta)
    for example in _encoded(subject):
        ours = Forward(subject).answers(delta, [example])
        with quietly():
            theirs = reference(
                input_ids=torch.tensor([example.source]),
                attention_mask=torch.ones(1, len(example.source)),
                labels=torch.tensor([example.targets]),
            )
        torch.testing.assert_close(ours, theirs.logits[0], atol=1e-4, rtol=1e-4)
        loss = cross_entropy(ours, targets_of([example]))
        torch.testing.assert_close(loss, theirs.loss, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", KINDS)
def test_what_was_trained_is_what_is_served(kind: str, family: str, tmp_path: Path) -> None:
    subject = TinySubject(family)
    delta = _trained(subject, kind)
    native.write(delta, tmp_path, subject.spec)
    delta = load(tmp_path, subject.spec)
    batch = _encoded(subject)
    trained = Forward(subject).answers(delta, batch).split([len(one.targets) for one in batch])
    torch.testing.assert_close(
        torch.stack([each[-1] for each in trained]),
        _served(TinySubject(family), delta, batch),
        atol=1e-5,
        rtol=0,
    )


@pytest.mark.parametrize("family", _TARGETS)
async def test_texts_that_are_learnt_for_their_sources_are_written(
    family: str, tmp_path: Path
) -> None:
    subject = TinySubject(family)
    course = Course(subject, recipe_of("lora", epochs=120), Material(WRITTEN, {"own": WRITTEN}))
    delta = course.train(lambda *_: None)
    (verdict,) = course.judge(delta, instruction="")
    assert verdict.measure == "perplexity"
    assert verdict.beats_both
    native.write(delta, tmp_path / "delta", subject.spec)
    untouched = TinySubject(family)
    base = Base(untouched.spec, untouched.model, untouched.tokenizer)
    engine = tiny_engine(base, {"said": tmp_path / "delta"}, tmp_path / "store")
    async with serving(engine):
        for example in WRITTEN:
            (output,) = await ask(engine, Request("key", "said", str(example.source)))
            assert isinstance(output, Generated)
            assert output.text == example.output


def test_the_last_layers_are_those_of_both_stacks() -> None:
    recipe = replace(recipe_of("lora", epochs=1), layers=1)
    delta = Course(TinySubject("t5"), recipe, Material(WRITTEN)).train(lambda *_: None)
    layers = {part.site.split(".layer")[0] for part in delta.parts}
    assert layers == {"encoder.block.1", "decoder.block.1"}


@pytest.mark.parametrize("family", _TARGETS)
def test_labels_are_learnt_of_sources(family: str) -> None:
    material = Material(LABELLED, {"own": LABELLED})
    course = Course(TinySubject(family), recipe_of("lora", epochs=30), material)
    (verdict,) = course.judge(course.train(lambda *_: None), instruction="Spam or ham?")
    assert (verdict.measure, verdict.delta, verdict.majority) == ("accuracy", 1, 0.5)


@pytest.mark.parametrize("family", _TARGETS)
@pytest.mark.parametrize("kind", KINDS)
def test_labels_that_were_trained_are_served(kind: str, family: str) -> None:
    subject = TinySubject(family)
    course = Course(subject, recipe_of(kind, epochs=4), Material(LABELLED))
    delta = course.train(lambda *_: None)
    batch = _encoded(subject, LABELLED)
    trained = Forward(subject).answers(delta, batch)
    runner = _runner(TinySubject(family), delta, len(batch))
    hidden = runner.forward(_items(runner, delta, batch, writes=False)).hidden
    for index, scores in enumerate(trained):
        torch.testing.assert_close(scores, runner.scores(1, hidden[index]), atol=1e-5, rtol=0)


def test_tags_are_not_learnt() -> None:
    with pytest.raises(InvalidExamples, match="Let it write the tags"):
        Course(TinySubject("t5"), recipe_of("lora"), Material(MARKED))


def test_a_source_that_is_cut_keeps_its_end() -> None:
    subject = TinySubject("t5")
    encoder = Encoder(subject.tokenizer, ("x",), PromptStyle.TEXT, 8, subject.start_tokens)
    long = "The meeting is at noon, see you there."
    (end,) = subject.tokenizer("")["input_ids"][1:]
    for example in (Written(long, "x"), Labelled(long, "x")):
        source = encoder.encode(example).source
        assert (len(source), source[-1]) == (8, end)


def _trained(subject: TinySubject, kind: str) -> Delta:
    course = Course(subject, recipe_of(kind, epochs=4), Material(WRITTEN))
    return course.train(lambda *_: None)


def _encoded(subject: TinySubject, examples: Sequence[Example] = WRITTEN) -> list[Encoded]:
    recipe = recipe_of("lora")
    encoder = Encoder(
        subject.tokenizer, labels_of(examples), recipe.prompt, recipe.tokens, subject.start_tokens
    )
    return [encoder.encode(example) for example in examples]


def _in_peft(family: str, kind: str, delta: Delta) -> PeftModel:
    """The same weights in PEFT's own modules, over the same base."""
    task, targets = TaskType.SEQ_2_SEQ_LM, _TARGETS[family]
    configs: dict[str, PeftConfig] = {
        "lora": LoraConfig(task_type=task, r=4, lora_alpha=4, target_modules=targets),
        "ia3": IA3Config(task_type=task, target_modules=targets, feedforward_modules=[]),
    }
    base = tiny_encoder_decoder(family, vocab_size=VOCABULARY)
    with quietly():
        model = PeftModel(base, configs[kind])
    backbone = f"base_model.model.{base.base_model_prefix}.".replace("transformer.", "")
    held = dict(model.named_parameters())
    with torch.no_grad():
        for part in delta.parts:
            for name, tensor in part.tensors.items():
                parameter = held.pop(f"{backbone}{part.site}.{_NAMES[name]}")
                parameter.copy_(tensor.view(parameter.shape))
    assert not [name for name, parameter in held.items() if parameter.requires_grad]
    return model.eval()


def _served(subject: TinySubject, delta: Delta, batch: Sequence[Encoded]) -> Tensor:
    runner = _runner(subject, delta, len(batch))
    return runner.forward(_items(runner, delta, batch, writes=True)).logits


def _runner(subject: TinySubject, delta: Delta, sequences: int) -> Runner:
    base = Base(subject.spec, subject.model, subject.tokenizer)
    runner = Runner(base, cache_blocks=2 * _BLOCKS * sequences)
    runner.wiring.install(1, delta)
    return runner


def _items(runner: Runner, delta: Delta, batch: Sequence[Encoded], *, writes: bool) -> list[Item]:
    extent = extent_of(delta, runner.base.spec)
    return [
        Item(
            slot=1,
            tokens=[0] * extent.rows + one.tokens,
            offset=0,
            extent=extent,
            blocks=range(2 * index * _BLOCKS, (2 * index + 1) * _BLOCKS),
            wants_logits=writes,
            wants_hidden=not writes,
            source=SourceItem(
                range((2 * index + 1) * _BLOCKS, (2 * index + 2) * _BLOCKS),
                extent.crossed + extent.source_rows + len(one.source),
                [0] * extent.source_rows + one.source,
            ),
        )
        for index, one in enumerate(batch)
    ]
