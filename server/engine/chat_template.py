"""Chat templates: what one can write of a chat, and how the replies to it are read."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from transformers import PreTrainedTokenizerFast

from server.engine.call_form import HERMES, CallForm, form_of, may_have_form
from server.engine.content_form import may_take_parts, takes_parts
from server.engine.message import Chat
from server.engine.reply import ReplyForm, begun_with, tagged
from server.engine.reply_grammar import ReplyGrammar
from server.engine.tool_texts import without_tools
from server.engine.tools import Tools

_THINK = "<think>"
_CALLS = "tool_calls"


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """A template's text and, where the base's tokenizer has one, the response template to it.

    `form` is how it writes calls, None where it writes none or in no form that can be forced, or
    where that does not matter; `in_parts` whether it takes contents so alone. `special` are the
    base's special tokens and their ids.
    """

    text: str
    response: Mapping[str, Any] | None = None
    form: CallForm | None = None
    in_parts: bool = False
    special: Mapping[str, int] = field(default_factory=dict[str, int])

    def fitted(self, chat: Chat, tools: Tools) -> Chat:
        """The chat as this template can write it."""
        chat = replace(chat, in_parts=self.in_parts)
        if self.form is not None:
            return replace(chat, as_text=self.form.as_text)
        knows = self._leaves_calls(tools)
        return without_tools(chat) if chat.concerns_tools and not knows else chat

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
        begun, form = begun_with(prompt), self.form or HERMES
        special = self._tags(form)
        return ReplyForm(
            tagged(reasoning=reasons, calls=form if tools else None),
            begun,
            special=bool(special),
            calls=form,
            grammar=ReplyGrammar(tools, reasons, bool(begun), form, special),
        )

    def _tags(self, form: CallForm) -> Mapping[str, int]:
        """The special tokens that a reply's parts are told by."""
        texts = (_THINK, "</think>", form.begin, form.between, form.separator, form.end)
        return {tag: at for tag, at in self.special.items() if any(tag in text for text in texts)}

    def _leaves_calls(self, tools: Tools) -> bool:
        """Whether calls are written in the response template's own form, which nothing forces."""
        response = self.response
        reads = response is not None and _CALLS in response["fields"] and "tools" in self.text
        return reads and not tools.required and self.form is None


def task_template(
    text: str, form: CallForm | None, tokenizer: PreTrainedTokenizerFast, *, in_parts: bool = False
) -> ChatTemplate:
    """The template that came with a task."""
    return ChatTemplate(text, form=form, in_parts=in_parts, special=_special(tokenizer))


def base_template(
    tokenizer: PreTrainedTokenizerFast, chat: Chat, tools: Tools
) -> ChatTemplate | None:
    """The base's own template, if it has one; some have another one for tools."""
    if not tokenizer.chat_template:
        return None
    shown: Any = [tool.shown() for tool in tools.offered] or None
    text = tokenizer.get_chat_template(tools=shown)
    form = _form(tokenizer, text) if chat.concerns_tools and may_have_form(text) else None
    response: Any = getattr(tokenizer, "response_template", None)
    in_parts = may_take_parts(text) and _in_parts(tokenizer, text)
    return ChatTemplate(text, response, form, in_parts, _special(tokenizer))


@lru_cache(maxsize=4)
def _form(tokenizer: PreTrainedTokenizerFast, template: str) -> CallForm | None:
    return form_of(_writer(tokenizer, template))


@lru_cache(maxsize=4)
def _in_parts(tokenizer: PreTrainedTokenizerFast, template: str) -> bool:
    return takes_parts(_writer(tokenizer, template))


def _writer(tokenizer: PreTrainedTokenizerFast, template: str) -> Callable[[Chat], str | None]:
    def write(chat: Chat) -> str | None:
        shown = chat.shown()
        # A template rejects what it does not foresee with errors of its own.
        with suppress(Exception):
            messages = shown.pop("messages")
            return str(
                tokenizer.apply_chat_template(
                    messages, chat_template=template, tokenize=False, **shown
                )
            )
        return None

    return write


@lru_cache(maxsize=1)
def _special(tokenizer: PreTrainedTokenizerFast) -> Mapping[str, int]:
    added = tokenizer.added_tokens_decoder.items()
    return {str(token): at for at, token in added if token.special}
