"""The demo's spam tasks on plain notes and plain scams, none of them from their data."""

from pathlib import Path

import pytest
import torch

from server.cli.demo import BASES, DELTAS
from server.demo.data.spam import HAM_WORDS, SPAM_WORDS, pieces
from server.engine.output import Classified
from server.engine.request import Request
from server.model.base import Base, load_base
from server.model.source import resolve_base
from server.user_directories import user_cache
from tests.server.engine.engines import ask, serving, tiny_engine

NOTES = [
    "see you at noon",
    "Running ten minutes late, sorry!",
    "Thanks for dinner last night, the kids loved it.",
    "Don't forget to buy milk and bread on the way home.",
    "The plumber comes on Tuesday between eight and ten.",
    "I left your keys on the kitchen table.",
    "Happy birthday! Hope you have a lovely day.",
    "Could we move our call to Thursday afternoon?",
    "The build is green again, I merged your branch.",
    "Mum says hi and asks when you will visit.",
    "Lunch tomorrow?",
    "The train was cancelled, I will take the next one.",
    "Hi Anna, I have read your draft and left a few comments.",
    "Can you pick up Tom from school today?",
]
SCAMS = [
    "Congratulations! You have won a free cruise. Reply with your bank details.",
    "URGENT: your account has been suspended. Click here to verify your password now.",
    "Lose 20 pounds in two weeks with our miracle pill, order today and save 80%!",
    "Make $5000 a week from home, no experience needed! Call now!",
    "Dear friend, I am the widow of a general and need your help to transfer 15 million dollars.",
    "FREE entry to our weekly prize draw! Text WIN to 80086 now.",
    "Cheap Viagra and Cialis without prescription, discreet shipping worldwide.",
    "You have been selected for a $1000 gift card. Claim it now before it expires!",
    "Refinance your mortgage at the lowest rates ever! Bad credit no problem.",
    "Buy followers cheap! Limited time offer, 70% discount, click the link below.",
    "Hot singles in your area want to meet you tonight. Click here.",
    "Earn guaranteed returns of 300% with our crypto investment programme, join now.",
]


def _base(name: str) -> Base:
    source = resolve_base(f"package:{BASES[name]}", user_cache())
    return load_base(source.name, source.directory, torch.float32, torch.device("cpu"))


@pytest.mark.parametrize("base", BASES)
async def test_plain_notes_are_ham_and_plain_scams_spam(base: str, tmp_path: Path) -> None:
    engine = tiny_engine(_base(base), {"spam": DELTAS / base / "spam"}, tmp_path)
    found: dict[str, str] = {}
    async with serving(engine):
        for text in (*NOTES, *SCAMS):
            (output,) = await ask(engine, Request("key", "spam", text))
            assert isinstance(output, Classified)
            found[text] = output.label
    if base == "minilm":  # the decoder's task knows e-mails alone
        assert [text for text in NOTES if found[text] != "ham"] == []
    assert [text for text in SCAMS if found[text] != "spam"] == []


def test_a_letter_is_cut_to_pieces_of_many_lengths() -> None:
    letters = [
        {"input": f"Subject {i}. " + " ".join(f"Word {j} of it." for j in range(20)), "label": "x"}
        for i in range(50)
    ]
    for sizes in (HAM_WORDS, SPAM_WORDS):
        found = list(pieces(letters, sizes))
        assert found == list(pieces(letters, sizes))
        assert {len(str(piece["input"]).split()) for piece in found} >= set(sizes)
        assert sum(str(piece["input"]).startswith("Subject") for piece in found) == len(letters)
