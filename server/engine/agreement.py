"""Agreement: how like two versions' answers to one request are."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import mul

from server.engine.output import Classified, Embedded, Generated, Output, Tagged


@dataclass(frozen=True, slots=True)
class Agreement:
    """Whether two answers are the same, and how like they are, 1 being the same.

    Of texts that is the share of the longer one's tokens that both begin with, of embeddings their
    cosine, of labels and entities 1 or 0. Scores beside a label do not count.
    """

    equal: bool
    likeness: float


def agreement(ours: Sequence[Output], theirs: Sequence[Output]) -> Agreement:
    """Compare answers output by output; likeness is the mean."""
    pairs = [_compared(one, other) for one, other in zip(ours, theirs, strict=True)]
    likeness = sum(each.likeness for each in pairs) / len(pairs)
    return Agreement(all(each.equal for each in pairs), likeness)


def _compared(one: Output, other: Output) -> Agreement:
    if isinstance(one, Generated) and isinstance(other, Generated):
        return Agreement(_spoken(one) == _spoken(other), _shared(one.tokens, other.tokens))
    if isinstance(one, Embedded) and isinstance(other, Embedded):
        cosine = _cosine(one.embedding, other.embedding)
        return Agreement(one.embedding == other.embedding, cosine)
    if isinstance(one, Classified) and isinstance(other, Classified):
        return _all_or_nothing(one.label == other.label)
    if isinstance(one, Tagged) and isinstance(other, Tagged):
        return _all_or_nothing(_found(one) == _found(other))
    return _all_or_nothing(False)


def _all_or_nothing(equal: bool) -> Agreement:
    return Agreement(equal, float(equal))


def _spoken(said: Generated) -> tuple[object, ...]:
    """All of an answer that a caller reads; calls have ids that differ each time."""
    return said.reasoning, said.text, [(call.name, call.arguments) for call in said.calls]


def _found(tagged: Tagged) -> list[tuple[str, int, int]]:
    return [(entity.label, entity.start, entity.end) for entity in tagged.entities]


def _shared(one: Sequence[int], other: Sequence[int]) -> float:
    most = max(len(one), len(other))
    pairs = enumerate(zip(one, other, strict=False))
    same = next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))
    return same / most if most else 1.0


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    if len(one) != len(other):
        return 0.0
    lengths = (_product(one, one) * _product(other, other)) ** 0.5
    return _product(one, other) / lengths if lengths else 0.0


def _product(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(map(mul, one, other))
