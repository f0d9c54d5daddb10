"""The form in which answers write calls, and how chats whose template has none list tools.

    <tool_call>
    {"name": "weather", "arguments": {"city": "Paris"}}
    </tool_call>

Hermes and Qwen are trained on it (https://huggingface.co/NousResearch/Hermes-2-Pro-Mistral-7B), and
many templates write it. A template that writes another, or none, sees tools in a system message,
calls in an assistant's text and results in a user's.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby

from server.engine.message import Chat, Message
from server.engine.tools import Tool

BEGIN, END = "<tool_call>", "</tool_call>"
_OTHER_FORM = "<function="
"""Qwen's newer templates have tags within `<tool_call>`."""


def writes_calls(template: str) -> bool:
    """Whether a chat template lists tools and has their calls written in this form."""
    own = BEGIN in template and _OTHER_FORM not in template
    return own and "tools" in template and "tool_calls" in template


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
        f'{BEGIN}\n{{"name": "its name", "arguments": {{"a parameter": "its value"}}}}\n{END}\n'
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
    calls = (
        f'{BEGIN}\n{{"name": {json.dumps(call.name)}, "arguments": {call.arguments}}}\n{END}'
        for call in message.tool_calls
    )
    text = "\n".join([message.content, *calls] if message.content else calls)
    return replace(message, content=text, tool_calls=())
