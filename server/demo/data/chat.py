"""Chit-Chat Challenge (BYU, 2018): what people say to each other in 7,168 conversations."""

import json

from server.demo.data.split import Record, distinct, first_words
from server.demo.packages import Package, fetch

PACKAGE = Package(
    index="pypi",
    name="chitchat-dataset",
    version="0.9.0",
    sha256="7bf89f36645e2d5ec87d53370c8e851b5a688479c7beb7079cb4c87fc5acea3e",
)
"""MIT licence."""
TURN_WORDS = 60
CONVERSATIONS = 700
LEAST_WORDS = 2


def turns() -> list[Record]:
    """What one side says at a time → ham; without repetitions."""
    file = fetch(PACKAGE) / "chitchat_dataset/dataset.json"
    conversations = json.loads(file.read_text(encoding="utf-8"))
    said = (
        " ".join(message["text"] for message in turn)
        for _, conversation in sorted(conversations.items())[:CONVERSATIONS]
        for turn in conversation["messages"]
    )
    texts = (first_words(text, TURN_WORDS) for text in said if text.isascii())
    kept = distinct((text for text in texts if len(text.split()) >= LEAST_WORDS), str)
    return [{"input": text, "label": "ham"} for text in kept]
