"""Train and held-out parts of a dataset, without leakage between them."""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

SHINGLE_WORDS = 5
NEAR_DUPLICATE = 0.3

Record = dict[str, str | list[str]]
Item = TypeVar("Item")


@dataclass(frozen=True)
class Split:
    """Records to train on and records to judge by; no text is (nearly) in both.

    `others` are records of other sources to judge by, too, under the sources' names.
    """

    train: Sequence[Record]
    test: Sequence[Record]
    others: Mapping[str, Sequence[Record]] = field(default_factory=dict[str, Sequence[Record]])

    def write(self, folder: Path, name: str) -> list[Path]:
        """Write NAME.PART.jsonl for each part into the folder, `train` first; return the paths."""
        folder.mkdir(parents=True, exist_ok=True)
        paths: list[Path] = []
        for part, records in {"train": self.train, "test": self.test, **self.others}.items():
            path = folder / f"{name}.{part}.jsonl"
            lines = (json.dumps(record, ensure_ascii=False) + "\n" for record in records)
            path.write_text("".join(lines), encoding="utf-8")
            paths.append(path)
        return paths


def drawn(records: Iterable[Record], seed: int = 0) -> list[Record]:
    """Shuffle records; a record's place depends on its own content and the seed alone."""
    return sorted(records, key=lambda record: _lot(record, seed))


def split(records: Iterable[Record], train: int, test: int) -> Split:
    """Draw two parts, of at most the given sizes, from records that are already distinct."""
    order = drawn(records)
    return Split(train=order[test : test + train], test=order[:test])


def balanced(records: Iterable[Record]) -> list[Record]:
    """Leave out some records, so that all labels occur equally often."""
    groups: dict[str, list[Record]] = {}
    # With the seed of `split`, the labels would be as unequal as before in its first part.
    for record in drawn(records, seed=1):
        groups.setdefault(str(record["label"]), []).append(record)
    size = min(len(group) for group in groups.values())
    return [record for group in groups.values() for record in group[:size]]


def distinct(items: Iterable[Item], text: Callable[[Item], str]) -> list[Item]:
    """Drop each item that shares over 30 % of its five-word runs with the items kept before it."""
    seen: set[str] = set()
    kept: list[Item] = []
    for item in items:
        runs = _shingles(text(item))
        if len(runs & seen) <= NEAR_DUPLICATE * len(runs):
            kept.append(item)
            seen |= runs
    return kept


def _lot(record: Record, seed: int) -> str:
    return hashlib.sha256(json.dumps([seed, record]).encode()).hexdigest()


def _shingles(text: str) -> set[str]:
    words = re.findall(r"\w+", text.lower())
    last = max(len(words) - SHINGLE_WORDS, 0)
    return {" ".join(words[i : i + SHINGLE_WORDS]) for i in range(last + 1)}


def first_words(text: str, count: int) -> str:
    """Return at most `count` leading words of the text, joined by single spaces."""
    return " ".join(text.split()[:count])
