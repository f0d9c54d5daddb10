"""Measures: pure functions from predictions to a score."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeAlias

Span: TypeAlias = tuple[int, int, str]
"""An entity: its first word, the word after its last, its label."""


def accuracy(predicted: Sequence[object], expected: Sequence[object]) -> float:
    """The share of predictions that are right."""
    pairs = zip(predicted, expected, strict=True)
    return sum(one == other for one, other in pairs) / len(expected)


def entity_f1(predicted: Iterable[Sequence[str]], expected: Iterable[Sequence[str]]) -> float:
    """The F1 score over entities of the right extent and label, in sequences of BIO tags."""
    right = wrong = missed = 0
    for guess, truth in zip(predicted, expected, strict=True):
        guesses, truths = spans(guess), spans(truth)
        right += len(guesses & truths)
        wrong += len(guesses - truths)
        missed += len(truths - guesses)
    return 2 * right / max(1, 2 * right + wrong + missed)


def spans(tags: Sequence[str]) -> set[Span]:
    """The entities in a sequence of BIO tags; an entity may begin with an I tag."""
    found: set[Span] = set()
    start, open_label = 0, ""
    for index, tag in enumerate([*tags, "O"]):
        position, _, label = tag.partition("-")
        if open_label and (position != "I" or label != open_label):
            found.add((start, index, open_label))
            open_label = ""
        if label and not open_label:
            start, open_label = index, label
    return found


def perplexity(losses: Iterable[float]) -> float:
    """The perplexity of tokens whose negative log-likelihoods, in nats, are given."""
    values = list(losses)
    return math.exp(sum(values) / len(values))


def unigram_losses(tokens: Iterable[int], seen: Iterable[int], vocabulary: int) -> list[float]:
    """Negative log-likelihoods, in nats, under the frequencies seen, plus one each."""
    counts = Counter(seen)
    total = counts.total() + vocabulary
    return [-math.log((counts[token] + 1) / total) for token in tokens]
