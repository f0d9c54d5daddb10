"""Readings: tags of tokens become entities of the text."""

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from deltas.delta import DeltaRef, PromptStyle, TaskType
from server.engine.output import Tagged
from server.engine.prompt import build_prompt
from server.engine.reading import read_scores
from server.registry.version import Version
from tests.bases import byte_tokenizer

LABELS = ("O", "", "B-CELL-LINE", "I-CELL-LINE", "B-LINE", "I-LINE", "LINE")
CHAT = byte_tokenizer(chat=True)


def entities(text: str, *tags: str, tokenizer: PreTrainedTokenizerFast = CHAT) -> list[str]:
    """The entities found where each word of a text has the tag given, as `NAME:text`."""
    prompt = build_prompt(tokenizer, text, PromptStyle.TEXT, generates=False)
    version = Version(DeltaRef("names", "0"), TaskType.TAG, labels=LABELS)
    found = read_scores(_scores(prompt.words, tags), version, prompt)
    assert isinstance(found, Tagged)
    assert all(text[entity.start : entity.end] == entity.text for entity in found.entities)
    return [f"{entity.label}:{entity.text}" for entity in found.entities]


def _scores(words: tuple[tuple[int, int, int] | None, ...], tags: tuple[str, ...]) -> Tensor:
    """Scores [rows, labels] that leave no doubt."""
    rows = torch.zeros(len(words), len(LABELS))
    for row, word in enumerate(words):
        rows[row, LABELS.index(tags[word[2]] if word else "B-LINE")] = 50.0
    return rows


def test_words_of_one_entity_are_joined() -> None:
    assert entities("Call now to claim", "O", "B-LINE", "I-LINE", "O") == ["LINE:now to"]
    assert entities("Call now to claim", "I-LINE", "B-LINE", "LINE", "O") == [
        "LINE:Call",
        "LINE:now to",
    ]


def test_a_label_without_a_name_is_outside() -> None:
    assert entities("Call now to claim", "B-LINE", "", "I-LINE", "O") == ["LINE:Call", "LINE:to"]


def test_names_with_hyphens() -> None:
    tags = ("B-CELL-LINE", "B-CELL-LINE", "I-CELL-LINE", "I-LINE")
    assert entities("Call now to claim", *tags) == [
        "CELL-LINE:Call",
        "CELL-LINE:now to",
        "LINE:claim",
    ]


def test_spaces_belong_to_no_entity() -> None:
    assert entities("Call  now", "O", "B-LINE", "I-LINE") == ["LINE:now"]
    assert entities("Call  now", "O", "B-LINE", "O") == []
    plain = byte_tokenizer(chat=False)
    assert entities("Call now", "O", "B-LINE", tokenizer=plain) == ["LINE:now"]
