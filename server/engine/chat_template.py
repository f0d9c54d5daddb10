"""Chat templates: what one can write of a chat, and how the replies to it are read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerFast

from server.engine.message import Chat
from server.engine.reply import TAGS, ReplyForm, begun_with, tagged
from server.engine.reply_grammar import ReplyGrammar
from server.engine.tool_form import without_tools, writes_calls
from server.engine.tools import Tools

_THINK = "<think>"
_CALLS = "tool_calls"


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """A template's text and, where the base's tokenizer has one, the response template to it.

    `special` are the tags around a reply's parts that are special tokens of the base.
    """

    text: str
    response: Mapping[str, Any] | None = None
    special: frozenset[str] = frozenset()

    def fitted(self, chat: Chat, tools: Tools) -> Chat:
        """The chat as this template can write it."""
        concerned = chat.tools or any(
            message.tool_calls or message.role == "tool" for message in chat.messages
        )
        knows = writes_calls(self.text) or self._leaves_calls(tools)
        return without_tools(chat) if concerned and not knows else chat

    def reply(self, prompt: str, tools: Tools) -> ReplyForm | None:
        """How a reply to a prompt that this template wrote is read; None where it is text alone."""
        response = self.response
        if response is not None and (not tools or self._leaves_calls(tools)):
            shown = tuple(tool.shown() for tool in tools.offered)
            if not tools:
                fields = {name: each for name, each in response["fields"].items() if name != _CALLS}
                response = {**response, "fields": fields}
            return ReplyForm(response, prompt, special=True, tools=shown)
        reasons = _THINK in self.text
        if not reasons and not tools:
            return None
        begun = begun_with(prompt)
        return ReplyForm(
            tagged(reasoning=reasons, calls=bool(tools)),
            begun,
            special=bool(self.special),
            grammar=ReplyGrammar(tools, reasons, bool(begun), self.special),
        )

    def _leaves_calls(self, tools: Tools) -> bool:
        """Whether calls are written in the response template's own form, which nothing forces."""
        response = self.response
        reads = response is not None and _CALLS in response["fields"] and "tools" in self.text
        return reads and not tools.required and not writes_calls(self.text)


def task_template(text: str, tokenizer: PreTrainedTokenizerFast) -> ChatTemplate:
    """The template that came with a task."""
    return ChatTemplate(text, special=_special_tags(tokenizer))


def base_template(tokenizer: PreTrainedTokenizerFast, tools: Tools) -> ChatTemplate | None:
    """The base's own template, if it has one; some have another one for tools."""
    if not tokenizer.chat_template:
        return None
    shown: Any = [tool.shown() for tool in tools.offered] or None
    text = tokenizer.get_chat_template(tools=shown)
    response: Any = getattr(tokenizer, "response_template", None)
    return ChatTemplate(text, response, _special_tags(tokenizer))


def _special_tags(tokenizer: PreTrainedTokenizerFast) -> frozenset[str]:
    added = tokenizer.added_tokens_decoder.values()
    return TAGS & {str(token) for token in added if token.special}
