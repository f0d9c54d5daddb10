"""Grammars: what a text must keep to, as a client writes it."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import accumulate
from typing import Any, Literal, TypeAlias

from llguidance import LLMatcher, grammar_from

from server.engine.structural_tag import parts_of
from server.errors import InvalidRequest

Form: TypeAlias = Literal["json_schema", "regex", "choice", "grammar", "structural_tag", "reply"]

MAX_BYTES = 1 << 16
MAX_DEPTH = 64
MAX_NAMES = 2000
"""The library follows names of rules and definitions by recursion."""

SCHEMA_OPTIONS: Any = {
    "lenient": False,
    # Small models that may write any white space write nothing else.
    "whitespace_flexible": False,
    "item_separator": ", ",
    "key_separator": ": ",
}
"""How schemas are read, whatever a schema says of that itself under `x-guidance`."""
_NAMES = {
    "json_schema": "schema",
    "choice": "list",
    "structural_tag": "structural tag",
    "reply": "form of the answer",
}
_OPENING, _BRACKETS = b"([{", re.compile(rb"[^()\[\]{}]")


@dataclass(frozen=True, slots=True)
class Grammar:
    """What a text must be: `source` in a form that llguidance knows or can be converted from.

    `json_schema` is a schema as JSON, `regex` in the syntax of Rust's regular expressions without
    look-around, `choice` a JSON list of texts, `grammar` in Lark or llama.cpp's GBNF,
    `structural_tag` what `structural_tag.py` reads, `reply` what `ReplyGrammar` makes: a list of
    llguidance's own. `param` is the field that a client gave it in.
    """

    form: Form
    source: str
    param: str = field(default="grammar", compare=False)

    @classmethod
    def of_schema(cls, schema: Any, param: str) -> "Grammar":
        """The JSON values that a schema, as JSON gives it, lets pass."""
        return cls("json_schema", json.dumps(schema, separators=(",", ":")), param)

    @classmethod
    def of_choices(cls, texts: Sequence[str], param: str) -> "Grammar":
        """Just one of some texts."""
        return cls("choice", json.dumps(list(texts)), param)

    @property
    def digest(self) -> bytes:
        """Equal for grammars that are."""
        return sha256(f"{self.form}\n{self.source}".encode(errors="surrogatepass")).digest()

    def check(self) -> None:
        """Raise InvalidRequest for what is larger or nested deeper than is compiled."""
        data = self.source.encode(errors="surrogatepass")
        if len(data) > MAX_BYTES:
            raise self.refused(f"has {len(data)} bytes, but at most {MAX_BYTES} are taken")
        steps = (1 if each in _OPENING else -1 for each in _BRACKETS.sub(b"", data))
        if max(accumulate(steps), default=0) > MAX_DEPTH:
            raise self.refused(f"is nested deeper than {MAX_DEPTH} levels")
        names = data.count(b":") if self.form == "grammar" else data.count(b'"$ref"')
        if names > MAX_NAMES:
            raise self.refused(f"refers to {names} names, but at most {MAX_NAMES} are followed")

    def written(self) -> str:
        """The grammar in llguidance's own form."""
        if self.form == "json_schema":
            return LLMatcher.grammar_from_json_schema(self.source, overrides=SCHEMA_OPTIONS)
        if self.form in ("structural_tag", "reply"):
            return json.dumps({"grammars": self.parts(self.form)})
        if self.form == "choice":
            texts = sorted(set(json.loads(self.source)))
            return LLMatcher.grammar_from_regex("|".join(map(_literally, texts)))
        return grammar_from(self.form, self.source)

    def parts(self, name: str) -> list[dict[str, Any]]:
        """The grammars, as llguidance lists them, of which the first is called `name`."""
        if self.form == "reply":
            return [part for each in json.loads(self.source) for part in _listed(each)]
        if self.form == "structural_tag":
            return [part for each in parts_of(self.source, name) for part in _listed(each)]
        written = self.written()
        if not written.lstrip().startswith("{"):
            return [{"name": name, "lark_grammar": written}]
        # Some forms become lists of one.
        (own,) = json.loads(written)["grammars"]
        return [{**own, "name": name}]

    def refused(self, why: str) -> InvalidRequest:
        """The error for a grammar of which `why` says what is wrong with it."""
        name = _NAMES.get(self.form, self.form)
        return InvalidRequest(f"The {name} {why}.", param=self.param)


def _listed(part: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A part of a grammar as llguidance lists them; it may be in a client's own form."""
    if "form" not in part:
        return [{**part}]
    grammar = Grammar(part["form"], part["source"])
    grammar.check()
    return grammar.parts(part["name"])


def _literally(text: str) -> str:
    return "".join(f"\\x{{{ord(each):x}}}" for each in text)
