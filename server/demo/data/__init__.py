"""Readers that turn public packages into train and held-out records, one file a source."""

from collections.abc import Callable

from server.demo.data.bbc import headline, topic
from server.demo.data.mail import spam
from server.demo.data.split import Record, Split
from server.demo.data.tomatoes import sentiment
from server.demo.data.tweets import entities

__all__ = ["DATASETS", "Record", "Split"]

DATASETS: dict[str, Callable[[], Split]] = {
    read.__name__: read for read in (topic, headline, sentiment, spam, entities)
}
