"""What a reply must keep to: reasoning first, then calls or a text, in llguidance's form.

A text is free up to the mark that begins calls; from there on their form is forced, and their
arguments keep to the tools' schemas. In llguidance's dialect of Lark (its docs/syntax.md) what is
`lazy` ends where it first may, and `@name` is another grammar of the list.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from server.engine.call_form import HERMES, CallForm
from server.engine.grammar import SCHEMA_OPTIONS, Grammar
from server.engine.lark import ANY
from server.engine.tools import NO_TOOLS, Tool, Tools

MAX_CALLS = 16
"""Of one reply: a small model would call for ever."""

_COMPOSED = {"$ref", "allOf", "anyOf", "oneOf", "not", "if", "patternProperties"}


@dataclass(frozen=True, slots=True)
class ReplyGrammar:
    """Makes the grammars of replies that may call `tools`, or must.

    It writes calls in a `form`. It may reason first if it `reasons`; the prompt has `begun` to, or
    not. `special` are the tags that are single tokens, which no text spells, and their ids.
    """

    tools: Tools = NO_TOOLS
    reasons: bool = False
    begun: bool = False
    form: CallForm = HERMES
    special: Mapping[str, int] = field(default_factory=dict[str, int])

    def around(self, answer: Grammar | None) -> Grammar | None:
        """The whole reply's grammar, whose text keeps to `answer` if that is given."""
        tools = self.tools
        if not tools and (answer is None or not self.reasons):
            return answer
        grammars: list[Mapping[str, Any]] = [{"name": "reply", "lark_grammar": self._lark(answer)}]
        if answer is not None:
            answer.check()
            grammars.append({"name": "answer", "form": answer.form, "source": answer.source})
        for at, tool in enumerate(tools.callable):
            grammars.append({"name": f"tool_{at}", "json_schema": _schema(tool)})
        param = answer.param if answer is not None and not tools else "tools"
        return Grammar("reply", json.dumps(grammars), param)

    def _lark(self, answer: Grammar | None) -> str:
        free = f"TEXT: {ANY}"
        if self.reasons and not self.begun:
            # What begins as reasoning does is no text.
            free += r" & ~/\s*<think>(.|\n)*/"
        think = "think " if self.begun else "think? " if self.reasons else ""
        start = " | ".join(self._turns(answer))
        return "\n".join(
            (
                "%llguidance {}",
                f"start: {think}({start})",
                f"think: {'' if self.begun else self._written('<think>')} thought /\\n*/",
                f"thought{self._lazy('</think>')}: {ANY} {self._written('</think>')}",
                f"opened{self._lazy(self.form.mark)}: TEXT {self._written(self.form.mark)}",
                free,
                *self._calls(),
            )
        )

    def _turns(self, answer: Grammar | None) -> list[str]:
        """The forms that a reply has behind its reasoning."""
        if not self.tools:
            return ["@answer"]
        calls = [f"{self._written(self.form.begin)} calls"]
        if self.tools.required:
            return calls
        if answer is not None:
            return ["@answer", *calls]
        return ["TEXT", f"opened {self._written(self.form.behind_mark)} calls"]

    def _calls(self) -> list[str]:
        """Calls from the first one's name on."""
        if not self.tools:
            return []
        form = self.form
        names = (json.dumps(tool.name)[1:-1] for tool in self.tools.callable)
        each = (f"{self._written(name + form.between)} @tool_{at}" for at, name in enumerate(names))
        common, apart, end = self._parted()
        several = self.form.separator and self.tools.parallel
        more = f"({self._listed(apart)} call){{0,{MAX_CALLS - 1}}}" if several else ""
        known = rf'({json.dumps(form.identifies)} /[a-zA-Z0-9]{{1,64}}/ "\"")?'
        return [
            f"call: ({' | '.join(each)}) {known if form.identifies else ''} {self._listed(common)}",
            f"calls: call {more} {self._listed(end)}",
        ]

    def _parted(self) -> tuple[list[str], list[str], list[str]]:
        """What is behind each call, what then comes before the next one, and what ends them all.

        A terminal takes all that it can: what the two have in common is written once.
        """
        apart, end = self._pieces(self.form.separator), self._pieces(self.form.end)
        if not apart or not self.tools.parallel:
            return [], [], end
        common: list[str] = []
        while apart and end and apart[0] == end[0]:
            common.append(apart.pop(0))
            del end[0]
        if apart and end and self.special.keys().isdisjoint((apart[0], end[0])):
            pairs = zip(apart[0], end[0], strict=False)
            shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
            common.append(apart[0][:shared])
            apart[0], end[0] = apart[0][shared:], end[0][shared:]
        return common, apart, end

    def _pieces(self, text: str) -> list[str]:
        """A text, its special tags apart."""
        tags = "|".join(map(re.escape, self.special))
        return [each for each in (re.split(f"({tags})", text) if tags else [text]) if each]

    def _listed(self, pieces: Sequence[str]) -> str:
        return " ".join(
            f"<[{self.special[each]}]>"
            if each in self.special
            else json.dumps(each, ensure_ascii=False)
            for each in pieces
            if each
        )

    def _written(self, text: str) -> str:
        return self._listed(self._pieces(text))

    def _lazy(self, text: str) -> str:
        return "" if text in self.special else "[lazy]"


def _schema(tool: Tool) -> dict[str, Any]:
    """The schema of a tool's arguments; its function knows none but those that are listed there."""
    schema: dict[str, Any] = {"type": "object"} | json.loads(tool.parameters)
    if _COMPOSED.isdisjoint(schema):
        schema.setdefault("additionalProperties", False)
    return schema | {"x-guidance": SCHEMA_OPTIONS}
