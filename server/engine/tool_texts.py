"""How a chat lists tools and calls where its template writes none.

It sees tools in a system message, calls in an assistant's text and results in a user's, in the form
that most templates which know tools have.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby

from server.engine.call_form import HERMES
from server.engine.message import Chat, Message
from server.engine.tools import Tool

_EXAMPLE = '{"a parameter": "its value"}'


def without_tools(chat: Chat) -> Chat:
    """The same chat for a template that knows no tools: all that concerns them becomes text."""
    messages = list(chat.messages)
    if chat.tools:
        first = messages[0]
        text = _listed(chat.tools)
        if first.role == "system":
            messages[0] = replace(first, content=f"{first.content}\n\n{text}")
        else:
            messages.insert(0, Message("system", text))
    return replace(chat, messages=tuple(_as_texts(messages)), tools=())


def _listed(tools: Iterable[Tool]) -> str:
    shown = "\n".join(json.dumps(tool.shown()["function"], ensure_ascii=False) for tool in tools)
    return (
        "You can call functions. Each line is one, with a JSON schema of its parameters:\n"
        f"<tools>\n{shown}\n</tools>\n"
        "To call one, write its name and its arguments as JSON between tags:\n"
        f"{_written('its name', _EXAMPLE)}\n"
        "You are then told its result. If no function helps, answer without calling one."
    )


def _as_texts(messages: Iterable[Message]) -> Iterator[Message]:
    """Results that follow each other become one message: many templates want turns to alternate."""
    for is_result, group in groupby(messages, lambda message: message.role == "tool"):
        if is_result:
            texts = (f"<tool_response>\n{each.content}\n</tool_response>" for each in group)
            yield Message("user", "\n".join(texts))
        else:
            yield from map(_with_calls, group)


def _with_calls(message: Message) -> Message:
    if not message.tool_calls:
        return message
    calls = (_written(call.name, call.arguments) for call in message.tool_calls)
    text = "\n".join([message.content, *calls] if message.content else calls)
    return replace(message, content=text, tool_calls=())


def _written(name: str, arguments: str) -> str:
    return f"{HERMES.begin}{name}{HERMES.between}{arguments}{HERMES.end}"
