import pytest

from deltas.training.course import Course, Verdict
from deltas.training.examples import InvalidExamples
from tests.deltas.training.lessons import LABELLED, MARKED, WRITTEN, recipe_of
from tests.deltas.training.subjects import TinySubject


def test_tags_are_learnt() -> None:
    course = Course(TinySubject("bert"), recipe_of("lora", epochs=40), MARKED, MARKED)
    verdict = course.judge(course.train(lambda *_: None), instruction="")
    assert verdict.measure == "entity F1"
    assert verdict.delta == 1
    assert verdict.majority == 0


@pytest.mark.parametrize("family", ["llama", "bert"])
def test_a_verdict_compares_with_a_constant_and_the_bare_base(family: str) -> None:
    course = Course(TinySubject(family), recipe_of("lora", epochs=30), LABELLED, LABELLED)
    verdict = course.judge(course.train(lambda *_: None), instruction="Spam or ham?")
    assert (verdict.examples, verdict.delta, verdict.majority) == (6, 1, 0.5)
    assert 0 <= verdict.bare <= 1


def test_written_text_is_judged_by_perplexity() -> None:
    course = Course(TinySubject("llama"), recipe_of("lora", epochs=40), WRITTEN, WRITTEN)
    verdict = course.judge(course.train(lambda *_: None), instruction="Go on.")
    assert verdict.delta < verdict.majority
    assert verdict.delta < verdict.bare
    assert verdict.beats_both


def test_lower_perplexity_and_higher_accuracy_beat() -> None:
    assert Verdict("perplexity", 1, delta=2, majority=9, bare=3).beats_both
    assert not Verdict("perplexity", 1, delta=4, majority=9, bare=3).beats_both
    assert Verdict("accuracy", 1, delta=0.9, majority=0.5, bare=0.8).beats_both
    assert not Verdict("accuracy", 1, delta=0.8, majority=0.5, bare=0.8).beats_both


def test_an_encoder_cannot_learn_to_write() -> None:
    with pytest.raises(InvalidExamples, match="cannot write"):
        Course(TinySubject("bert"), recipe_of("lora"), WRITTEN, [])


def test_other_held_out_examples_are_refused() -> None:
    with pytest.raises(InvalidExamples, match="another type"):
        Course(TinySubject("llama"), recipe_of("lora"), LABELLED, WRITTEN)
