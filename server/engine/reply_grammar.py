"""What a reply must keep to: reasoning first, then calls or a text, in llguidance's form.

A text is free up to where it opens a call; from there on the call's form is forced, and its
arguments keep to the tool's schema. In llguidance's dialect of Lark (its docs/syntax.md) what is
`lazy` ends where it first may, and `@name` is another grammar of the list.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from server.engine.grammar import SCHEMA_OPTIONS, Grammar
from server.engine.tool_form import BEGIN, END
from server.engine.tools import NO_TOOLS, Tool, Tools

MAX_CALLS = 16
"""Of one reply: a small model would call for ever."""

_COMPOSED = {"$ref", "allOf", "anyOf", "oneOf", "not", "if", "patternProperties"}
_ANY = r"/(.|\n)*/"


@dataclass(frozen=True, slots=True)
class ReplyGrammar:
    """Makes the grammars of replies that may call `tools`, or must.

    A reply may reason first if it `reasons`; the prompt has `begun` to, or not. `special` are the
    tags that are single tokens, which no text spells.
    """

    tools: Tools = NO_TOOLS
    reasons: bool = False
    begun: bool = False
    special: frozenset[str] = frozenset()

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
        free = f"TEXT: {_ANY}"
        if self.reasons and not self.begun:
            # What begins as reasoning does is no text.
            free += r" & ~/\s*<think>(.|\n)*/"
        think = "think " if self.begun else "think? " if self.reasons else ""
        start = " | ".join(self._turns(answer))
        return "\n".join(
            (
                "%llguidance {}",
                f"start: {think}({start})",
                f"think: {'' if self.begun else self._tag('<think>')} thought /\\n*/",
                f"thought{self._lazy('</think>')}: {_ANY} {self._tag('</think>')}",
                f"opened{self._lazy(BEGIN)}: TEXT {self._tag(BEGIN)}",
                free,
                *self._calls(),
            )
        )

    def _turns(self, answer: Grammar | None) -> list[str]:
        """The forms that a reply has behind its reasoning."""
        more = (
            f' ("\\n" {self._tag(BEGIN)} call){{0,{MAX_CALLS - 1}}}' if self.tools.parallel else ""
        )
        if not self.tools:
            return ["@answer"]
        if self.tools.required:
            return [f"{self._tag(BEGIN)} call{more}"]
        if answer is not None:
            return ["@answer", f"{self._tag(BEGIN)} call{more}"]
        return ["TEXT", f"opened call{more}"]

    def _calls(self) -> list[str]:
        if not self.tools:
            return []
        calls = [
            json.dumps(f'{{"name": {json.dumps(tool.name)}, "arguments": ') + f' @tool_{at} "}}"'
            for at, tool in enumerate(self.tools.callable)
        ]
        return [f'call: "\\n" ({" | ".join(calls)}) "\\n" {self._tag(END)}']

    def _tag(self, text: str) -> str:
        return text if text in self.special else json.dumps(text)

    def _lazy(self, text: str) -> str:
        return "" if text in self.special else "[lazy]"


def _schema(tool: Tool) -> dict[str, Any]:
    """The schema of a tool's arguments; its function knows none but those that are listed there."""
    schema: dict[str, Any] = {"type": "object"} | json.loads(tool.parameters)
    if _COMPOSED.isdisjoint(schema):
        schema.setdefault("additionalProperties", False)
    return schema | {"x-guidance": SCHEMA_OPTIONS}
