"""Forms in which replies write calls, found in what a chat template writes of some.

Templates write the calls of a chat's earlier turns as their models are to write new ones. So two
calls that are made up, written out by a template, show its form.
"""

import json
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property

from server.engine.message import Chat, Message, ToolCall
from server.engine.tools import Tool

_MOST = 200
"""Characters of each of a form's parts: longer ones are a template's own."""
_LONGEST_TURN = 8 * _MOST
"""Characters of a turn that makes two calls, at most five parts and what opens their ids."""
_UNTHOUGHT = re.compile(r"\s*(<think>\s*</think>)?\s*")
_MARK = re.compile(r"\s*(<[^<>\s]{2,}>|\[[A-Z_]{4,}\])")


@dataclass(frozen=True)
class CallForm:
    """`begin`, a function's name, `between`, its arguments as JSON, and `end`.

    Where a reply may make several calls, `separator` is what stands between the arguments of one
    and the name of the next. Behind arguments may be an id, which `identifies` opens. The template
    takes arguments parsed, or else `as_text`.
    """

    begin: str
    between: str
    end: str
    separator: str = ""
    identifies: str = ""
    as_text: bool = False

    @property
    def mark(self) -> str:
        """What begins calls and no text: a tag, or all that is before the name."""
        tag = _MARK.match(self.begin)
        return tag[1] if tag else self.begin.strip()

    @property
    def behind_mark(self) -> str:
        """What of `begin` comes behind the mark."""
        return self.begin.partition(self.mark)[2]

    @cached_property
    def first(self) -> re.Pattern[str]:
        """Reads from behind the mark to the first call's arguments; its group is the name."""
        return _called(_loose(self.behind_mark), self.between)

    @cached_property
    def following(self) -> re.Pattern[str] | None:
        """Reads from behind a call's arguments to the next one's."""
        identified = rf'(?:{_loose(self.identifies)}[^"]*")?' if self.identifies else ""
        return (
            _called(identified + _loose(self.separator), self.between) if self.separator else None
        )


HERMES = CallForm(
    '<tool_call>\n{"name": "',
    '", "arguments": ',
    "}\n</tool_call>",
    '}\n</tool_call>\n<tool_call>\n{"name": "',
)
"""The form that Hermes and Qwen are trained on, and that of templates without one of their own.

https://huggingface.co/NousResearch/Hermes-2-Pro-Mistral-7B
"""

_SAID = "polydelta said this"
_FIRST = ToolCall("abcdefgh1", "first_probe", '{"one": "1st"}')
_SECOND = ToolCall("abcdefgh2", "second_probe", '{"two": "2nd"}')
_SHOWN = {
    call: (re.compile(call.name), re.compile(arguments))
    for call, arguments in (
        (_FIRST, r'\{\s*"one"\s*:\s*"1st"\s*\}'),
        (_SECOND, r'\{\s*"two"\s*:\s*"2nd"\s*\}'),
    )
}
"""What calls' names and their arguments look like, however a template spaces those."""
_ASKED = Message("user", "Hello")
_TOOLS = tuple(Tool(each.name, "Does nothing") for each in (_FIRST, _SECOND))

_PROBES = (
    Chat((_ASKED,), _TOOLS),
    Chat((_ASKED, Message("assistant", _SAID)), _TOOLS),
    Chat((_ASKED, Message("assistant", "", tool_calls=(_FIRST,))), _TOOLS),
    Chat((_ASKED, Message("assistant", "", tool_calls=(_FIRST, _SECOND))), _TOOLS),
)
"""Chats that show a template's form: a reply's place, a text there, a call and two."""


def may_have_form(template: str) -> bool:
    """Whether a template might write tools and calls at all."""
    return "tools" in template and "tool_calls" in template


def form_of(write: Callable[[Chat], str | None]) -> CallForm | None:
    """A template's own form, by what it writes of chats; it gives None for one that it refuses.

    None where it takes no calls or writes arguments otherwise than as JSON behind the name.
    """
    for as_text in (False, True):
        written = [write(replace(probe, as_text=as_text)) for probe in _PROBES]
        if written[2] is not None:
            form = _shown_by(*written)
            return None if form is None else replace(form, as_text=as_text)
    return None


def _shown_by(
    asked: str | None, said: str | None, once: str | None, twice: str | None
) -> CallForm | None:
    if asked is None or said is None or once is None:
        return None
    asked = asked.rstrip().removesuffix("<think>").rstrip()
    over = said.rpartition(_SAID)[2]
    one = _read(once, asked, over, _FIRST)
    if one is None:
        return _reordered(once[len(asked) :])
    (begin, between, end), identifies = _anonymous(one, _FIRST)
    two = None if twice is None else _read(twice, asked, over, _FIRST, _SECOND)
    separator = ""
    if two is not None:
        (first, middle, apart, again, last), _ = _anonymous(two, _FIRST, _SECOND)
        if (first, middle, again, last) == (begin, between, between, end):
            separator = apart
    parts = (begin, between, end, separator, identifies)
    # An id before a name would have to be made up by the model.
    odd = any(call.id in part for call in (_FIRST, _SECOND) for part in parts)
    if odd or not begin.strip() or not between or max(map(len, parts)) > _MOST:
        return None
    return CallForm(begin, between, end, separator, identifies)


def _reordered(turn: str) -> CallForm | None:
    """Hermes' form where a template gives a call's fields in another order than models do."""
    if len(turn) > _LONGEST_TURN:
        return None
    within = turn.partition("<tool_call>")[2].rpartition("</tool_call>")[0]
    with suppress(ValueError, RecursionError):
        call = json.loads(within)
        if isinstance(call, dict) and {"name", "arguments"} <= call.keys():
            return HERMES
    return None


def _read(text: str, asked: str, over: str, *calls: ToolCall) -> list[str] | None:
    """What is before, between and behind the names and arguments of calls in a chat's last turn."""
    if not text.startswith(asked) or not text.endswith(over):
        return None
    turn = text[len(asked) : len(text) - len(over)]
    if len(turn) > _LONGEST_TURN:
        return None
    parts, at = list[str](), 0
    # One after another: a pattern of all would try each combination of what a template repeats.
    for shown in (each for call in calls for each in _SHOWN[call]):
        found = shown.search(turn, at)
        if found is None:
            return None
        parts.append(turn[at : found.start()])
        at = found.end()
    # Where a turn has no reasoning, some templates say so.
    return [_UNTHOUGHT.sub("", parts[0], count=1), *parts[1:], turn[at:]]


def _anonymous(parts: Sequence[str], *calls: ToolCall) -> tuple[list[str], str]:
    """The parts without the calls' ids, and what opens one."""
    ids = "|".join(each.id for each in calls)
    behind = re.compile(rf'(\s*,\s*"\w+"\s*:\s*")(?:{ids})"')
    opens = [found[1] for part in parts if (found := behind.match(part))]
    return [behind.sub("", part, count=1) for part in parts], opens[0] if opens else ""


def _called(before: str, between: str) -> re.Pattern[str]:
    return re.compile(rf"\s*{before}(?P<name>.+?)\s*{_loose(between)}\s*(?=\S)", re.DOTALL)


def _loose(text: str) -> str:
    """A pattern that takes a text with any white space between its words and marks."""
    return r"\s*".join(map(re.escape, re.findall(r"\w+|[^\w\s]", text)))
