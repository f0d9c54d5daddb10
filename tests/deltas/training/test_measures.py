import math

import pytest

from deltas.training.measures import accuracy, entity_f1, perplexity, spans, unigram_losses


def test_accuracy_counts_what_is_right() -> None:
    assert accuracy(["a", "b", "c", "d"], ["a", "b", "c", "x"]) == 0.75


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ([], set()),
        (["O", "B-x", "I-x", "O"], {(1, 3, "x")}),
        (["B-x", "B-x"], {(0, 1, "x"), (1, 2, "x")}),
        (["B-x", "I-y"], {(0, 1, "x"), (1, 2, "y")}),
        (["I-geo-loc", "I-geo-loc"], {(0, 2, "geo-loc")}),
        (["B-x"], {(0, 1, "x")}),
    ],
)
def test_spans_of_tags(tags: list[str], found: set[tuple[int, int, str]]) -> None:
    assert spans(tags) == found


def test_entity_f1_wants_extent_and_label() -> None:
    truth = [["B-x", "I-x", "O", "B-y"]]
    assert entity_f1(truth, truth) == 1
    assert entity_f1([["B-x", "O", "O", "B-y"]], truth) == 0.5
    assert entity_f1([["O"] * 4], truth) == 0


def test_perplexity_of_uniform_tokens_is_their_number() -> None:
    assert math.isclose(perplexity([math.log(8)] * 5), 8)


def test_unigrams_prefer_what_was_seen() -> None:
    seen, unseen = unigram_losses([1, 2], [1, 1, 1], vocabulary=10)
    assert math.isclose(seen, -math.log(4 / 13))
    assert math.isclose(unseen, -math.log(1 / 13))
