"""Readings: what a head's scores mean for a task."""

from collections.abc import Sequence

from torch import Tensor

from deltas.delta import ProblemType, TaskType
from server.engine.output import Classified, Embedded, Entity, Output, Tagged
from server.engine.prompt import Prompt
from server.engine.request import ScoreFunction
from server.registry.version import Version


def read_scores(
    scores: Tensor, version: Version, prompt: Prompt, function: ScoreFunction | None = None
) -> Output:
    """Turn scores ([labels], [rows, labels] or [features]) into the task's output.

    A classifier applies `function`, or what its problem type asks for.
    """
    if version.type is TaskType.EMBED:
        return Embedded(scores.tolist())
    if version.type is TaskType.TAG:
        rows = scores.softmax(dim=-1)[version.extent.rows :]
        return Tagged(tuple(_entities(rows, version.labels, prompt)))
    values = _applied(function or _usual(version), scores).tolist()
    ranked = sorted(zip(version.labels, values, strict=True), key=lambda pair: -pair[1])
    label, score = ranked[0]
    return Classified(label, score, dict(ranked))


def _usual(version: Version) -> ScoreFunction:
    """As Transformers' pipeline for text classification chooses."""
    if version.problem_type is ProblemType.REGRESSION:
        return "none"
    each_alone = version.problem_type is ProblemType.MULTI_LABEL or len(version.labels) == 1
    return "sigmoid" if each_alone else "softmax"


def _applied(function: ScoreFunction, logits: Tensor) -> Tensor:
    if function == "none":
        return logits
    return logits.sigmoid() if function == "sigmoid" else logits.softmax(dim=-1)


def _entities(rows: Tensor, labels: Sequence[str], prompt: Prompt) -> list[Entity]:
    """Join words tagged B-X, I-X, I-X… into one entity; a word is tagged as its first token."""
    scores, best = rows.max(dim=-1)
    entities: list[Entity] = []
    previous: tuple[int, str] | None = None
    for word, start, end, row in _words(prompt):
        tag, score = labels[int(best[row])], float(scores[row])
        if tag in ("O", ""):
            continue
        name = tag[2:] if tag.startswith(("B-", "I-")) else tag
        if not tag.startswith("B-") and previous == (word - 1, name):
            last = entities.pop()
            start, score = last.start, min(last.score, score)
        # Byte-level tokens begin with, or are, the space before their word.
        start = end - len(prompt.text[start:end].lstrip())
        entities.append(Entity(name, start, end, prompt.text[start:end], score))
        previous = (word, name)
    return [entity for entity in entities if entity.text]


def _words(prompt: Prompt) -> list[tuple[int, int, int, int]]:
    """Each word's number, its stretch of characters, and the row of its first token."""
    words: dict[int, tuple[int, int, int]] = {}
    for row, token in enumerate(prompt.words):
        if token is not None:
            start, end, word = token
            first, _, at = words.get(word, (start, end, row))
            words[word] = (first, end, at)
    return [(word, *stretch) for word, stretch in words.items()]
