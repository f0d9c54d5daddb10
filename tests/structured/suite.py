"""The JSON schema organisation's test suite, held to by masks: what is accepted, and what refused.

Its cases come with jsonschema's source distribution, which pip fetches.
"""

import json
import re
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llguidance import LLTokenizer

from server.engine.ending import Endings
from server.engine.grammar import Grammar
from server.engine.grammars import compiled
from server.errors import InvalidRequest
from tests.bases import byte_tokenizer

DRAFTS = {
    "draft4": "http://json-schema.org/draft-04/schema#",
    "draft6": "http://json-schema.org/draft-06/schema#",
    "draft7": "http://json-schema.org/draft-07/schema#",
    "draft2019-09": "https://json-schema.org/draft/2019-09/schema",
    "draft2020-12": "https://json-schema.org/draft/2020-12/schema",
}


@dataclass
class Tally:
    """What came of one draft's schemas and their instances."""

    schemas: int = 0
    refused: Counter[str] = field(default_factory=Counter[str])
    right: int = 0
    valid_rejected: list[str] = field(default_factory=list[str])
    invalid_accepted: list[str] = field(default_factory=list[str])

    def row(self, draft: str) -> str:
        """The draft's line of the table."""
        refused = sum(self.refused.values())
        return (
            f"| {draft} | {self.schemas} | {refused} | {self.right} | {len(self.valid_rejected)} | "
            f"{len(self.invalid_accepted)} |"
        )


class MaskChecker:
    """Tells by masks alone whether a text can be written under a schema."""

    def __init__(self) -> None:
        self.tokenizer = byte_tokenizer(chat=True)
        ends: Any = [self.tokenizer.eos_token_id]
        masks = LLTokenizer(self.tokenizer.backend_tokenizer.to_str(), None, ends)
        self._endings = Endings(masks)

    def writes(self, schema: Any, texts: list[str]) -> list[bool]:
        """Whether each text can be written; raises InvalidRequest where the schema is refused."""
        grammar = Grammar.of_schema(schema, "schema")
        grammar.check()
        matcher = compiled(grammar, self._endings)
        return [self._writes(matcher.copy().state, text) for text in texts]

    def _writes(self, state: Any, text: str) -> bool:
        end: Any = self.tokenizer.eos_token_id
        for token in (*self.tokenizer.encode(text, add_special_tokens=False), end):
            if not _allows(state.compute_bitmask(), token):
                return False
            state.consume_token(token)
        return not state.is_error()


def _allows(mask: bytes, token: int) -> bool:
    return bool(mask[token // 8] >> token % 8 & 1)


def cases(archive: Path) -> Iterator[tuple[str, str, Any, list[tuple[str, Any, bool]]]]:
    """Each schema: draft, name, itself and its instances, with their names and validity."""
    with tarfile.open(archive) as files:
        for member in files:
            found = re.fullmatch(r"[^/]+/json/tests/([^/]+)/([^/]+)\.json", member.name)
            data = files.extractfile(member) if found and found[1] in DRAFTS else None
            if found is None or data is None:
                continue
            for group in json.load(data):
                tests = [(t["description"], t["data"], t["valid"]) for t in group["tests"]]
                yield found[1], f"{found[2]}: {group['description']}", group["schema"], tests


def run(archive: Path) -> dict[str, Tally]:
    """Put the whole suite through the masks."""
    masks = MaskChecker()
    tallies = {draft: Tally() for draft in DRAFTS}
    for draft, name, schema, tests in cases(archive):
        tally = tallies[draft]
        tally.schemas += 1
        if isinstance(schema, dict):
            schema = {"$schema": DRAFTS[draft], **schema}
        texts = [json.dumps(data, ensure_ascii=False) for _, data, _ in tests]
        try:
            written = masks.writes(schema, texts)
        except InvalidRequest as error:
            tally.refused[str(error)] += 1
            continue
        for (description, _, valid), found in zip(tests, written, strict=True):
            if found is valid:
                tally.right += 1
            else:
                wrong = tally.valid_rejected if valid else tally.invalid_accepted
                wrong.append(f"{name}: {description}")
    return tallies
