"""Spam: e-mails and chat to train on, text messages as another source to judge by."""

import re
from collections.abc import Iterable, Iterator, Sequence
from random import Random

from server.demo.data.chat import turns
from server.demo.data.mail import mails
from server.demo.data.sms import messages
from server.demo.data.split import Record, Split, balanced, drawn, first_words, split

SPAM_WORDS = (12, 16, 24, 40, 60)
HAM_WORDS = (4, 6, 10, 16, 24, 60)
PIECES = 3
HAM_SHARE = 1.6
SENTENCE = re.compile(r"(?:^|(?<=[.!?] ))\S")


def spam() -> Split:
    """A message, or a piece of one → spam or ham.

    Spam is e-mail; ham is half e-mail, half chat, and more common, as in life. Held-out records are
    as often of one label as of the other, those of the other source, text messages, too.
    """
    letters, chat = split(mails(), 3600, 400), split(turns(), 4000, 500)
    return Split(
        train=drawn(_mixed(letters.train, chat.train)),
        test=drawn(balanced(_mixed(letters.test, chat.test))),
        others={"sms": drawn(balanced(messages()))},
    )


def _mixed(letters: Sequence[Record], chat: Sequence[Record]) -> list[Record]:
    spam, ham = (
        list(pieces((letter for letter in letters if letter["label"] == label), sizes))
        for label, sizes in (("spam", SPAM_WORDS), ("ham", HAM_WORDS))
    )
    half = round(len(spam) * HAM_SHARE / 2)
    return [*spam, *ham[:half], *chat[:half]]


def pieces(letters: Iterable[Record], sizes: Sequence[int]) -> Iterator[Record]:
    """Cut each letter's beginning, and parts from some of its sentences on, to one of the sizes.

    With pieces of many lengths from both, a text's length tells nothing of its label.
    """
    for letter in letters:
        text = str(letter["input"])
        luck = Random(text)
        sentences = [match.start() for match in SENTENCE.finditer(text)]
        starts = {0, *luck.sample(sentences, min(PIECES - 1, len(sentences)))}
        for start in sorted(starts):
            piece = first_words(text[start:], luck.choice(sizes))
            if len(piece.split()) >= sizes[0]:
                yield {"input": piece, "label": letter["label"]}
