"""What an answer that may call tools must keep to, in llguidance's dialect of Lark.

A text is free up to where it opens a call; from there on the call's form is forced, and its
arguments keep to the tool's schema. See llguidance's docs/syntax.md: lexemes that are `lazy` end
where they first may, and `%json` holds a schema.
"""

import json
from collections.abc import Set
from typing import Any

from server.engine.tool_form import BEGIN, END
from server.engine.tools import Tool, Tools

MAX_CALLS = 16
"""Of one answer: a small model would call for ever."""

_LAYOUT = {
    "whitespace_flexible": False,
    "item_separator": ", ",
    "key_separator": ": ",
    "lenient": False,
}
"""Objects are written in the one usual way, and what of a schema is not enforced is refused."""
_NO_THOUGHT = r" & ~/\s*<think>(.|\n)*/"
_COMPOSED = {"$ref", "allOf", "anyOf", "oneOf", "not", "if", "patternProperties"}


def tool_grammar(
    tools: Tools, *, reasons: bool = False, begun: bool = False, special: Set[str] = frozenset()
) -> str:
    """The grammar of an answer that may call `tools`, or must.

    `reasons` says that it may reason first, `begun` that the prompt has begun to; `special` are the
    tags that are tokens which no text spells.
    """

    def tag(text: str) -> str:
        return text if text in special else json.dumps(text)

    def lazy(name: str, text: str) -> str:
        return name if text in special else f"{name}[lazy]"

    open_think = "" if begun else f"/\\s*/ {tag('<think>')} "
    think = "think " if begun else "think? "
    more = f' ("\\n" {tag(BEGIN)} call){{0,{MAX_CALLS - 1}}}' if tools.parallel else ""
    calls = f"{tag(BEGIN)} call{more}" if tools.required else f"(TEXT | opened call{more})"
    return "\n".join(
        (
            "%llguidance {}",
            f"start: {think if reasons else ''}{calls}",
            f"think: {open_think}thought /\\n*/",
            f"{lazy('thought', '</think>')}: /(.|\\n)*/ {tag('</think>')}",
            f"{lazy('opened', BEGIN)}: TEXT {tag(BEGIN)}",
            # What begins as reasoning does is none of the text.
            f"TEXT: /(.|\\n)*/{_NO_THOUGHT if reasons else ''}",
            f'call: "\\n" ({" | ".join(map(_call, tools.callable))}) "\\n" {tag(END)}',
        )
    )


def _call(tool: Tool) -> str:
    head = f'{{"name": {json.dumps(tool.name)}, "arguments": '
    return f'{json.dumps(head)} %json {json.dumps(_schema(tool))} "}}"'


def _schema(tool: Tool) -> dict[str, Any]:
    """The schema of the arguments; the function knows none but those that are listed there."""
    schema: dict[str, Any] = {"type": "object"} | json.loads(tool.parameters)
    if _COMPOSED.isdisjoint(schema):
        schema.setdefault("additionalProperties", False)
    return schema | {"x-guidance": _LAYOUT}
