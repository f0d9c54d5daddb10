from collections.abc import Sequence

import pytest

from deltas.training.course import Course, Verdict
from deltas.training.examples import Example, InvalidExamples, Written
from deltas.training.material import Material
from tests.deltas.training.lessons import LABELLED, MARKED, WRITTEN, recipe_of
from tests.deltas.training.subjects import TinySubject


def judged_by(examples: Sequence[Example]) -> Material:
    return Material(examples, {"own": examples})


def test_tags_are_learnt() -> None:
    course = Course(TinySubject("bert"), recipe_of("lora", epochs=40), judged_by(MARKED))
    (verdict,) = course.judge(course.train(lambda *_: None), instruction="")
    assert verdict.measure == "entity F1"
    assert verdict.delta == 1
    assert verdict.majority == 0


@pytest.mark.parametrize("family", ["llama", "bert"])
def test_a_verdict_compares_with_a_constant_and_the_bare_base(family: str) -> None:
    course = Course(TinySubject(family), recipe_of("lora", epochs=30), judged_by(LABELLED))
    (verdict,) = course.judge(course.train(lambda *_: None), instruction="Spam or ham?")
    assert (verdict.examples, verdict.delta, verdict.majority) == (6, 1, 0.5)
    assert 0 <= verdict.bare <= 1


def test_written_text_is_judged_by_perplexity() -> None:
    course = Course(TinySubject("llama"), recipe_of("lora", epochs=40), judged_by(WRITTEN))
    (verdict,) = course.judge(course.train(lambda *_: None), instruction="Go on.")
    assert verdict.delta < verdict.majority
    assert verdict.delta < verdict.bare
    assert verdict.beats_both


def test_lower_perplexity_and_higher_accuracy_beat() -> None:
    assert Verdict("own", "perplexity", 1, delta=2, majority=9, bare=3).beats_both
    assert not Verdict("own", "perplexity", 1, delta=4, majority=9, bare=3).beats_both
    assert Verdict("own", "accuracy", 1, delta=0.9, majority=0.5, bare=0.8).beats_both
    assert not Verdict("own", "accuracy", 1, delta=0.8, majority=0.5, bare=0.8).beats_both


def test_each_held_out_set_has_its_verdict() -> None:
    sets = {"own": LABELLED, "spam": LABELLED[:3]}
    course = Course(TinySubject("bert"), recipe_of("lora", epochs=30), Material(LABELLED, sets))
    own, spam = course.judge(course.train(lambda *_: None), instruction="")
    assert (own.held_out, own.examples, own.majority) == ("own", 6, 0.5)
    assert (spam.held_out, spam.examples, spam.delta) == ("spam", 3, 1)


@pytest.mark.parametrize("family", ["gpt2", "bart"])
@pytest.mark.parametrize("held_out", [False, True])
def test_what_is_too_long_for_the_base_is_told_before_training(family: str, held_out: bool) -> None:
    long = [Written("Why?", "x y z " * 100)]
    material = Material(WRITTEN, {"own": long}) if held_out else Material([*WRITTEN, *long])
    course = Course(TinySubject(family), recipe_of("prefix"), material)
    steps: list[int] = []
    with pytest.raises(InvalidExamples, match=r"takes 6.. tokens.*; the base has room for"):
        course.train(lambda *step: steps.append(step[0]))
    assert steps == []


def test_an_encoder_cannot_learn_to_write() -> None:
    with pytest.raises(InvalidExamples, match="cannot write"):
        Course(TinySubject("bert"), recipe_of("lora"), Material(WRITTEN))
