"""Control tokens: what users write is text, even where it reads like a token that ends a turn."""

import re
import secrets
from collections.abc import Iterable
from typing import Any, cast

from tokenizers import AddedToken, Encoding, Tokenizer
from transformers import PreTrainedTokenizerFast

from server.engine.message import Chat

_BEGIN, _END = "\ufdd0", "\ufdd1"
"""Characters that Unicode keeps out of texts; they stand around what only reads like a token."""
_ANY_BEGIN, _ANY_END = (f"(?:{mark}|\\\\u{ord(mark):x})" for mark in (_BEGIN, _END))
"""As a template may write them, which is also as JSON has them."""
_MARKS = re.compile(f"{_ANY_BEGIN}|{_ANY_END}")


class ControlTokens:
    """A tokenizer's special tokens, read where a chat template wrote them and nowhere else.

    `marked` marks what reads like one. A template then writes the chat out, and
    `encode_chat` reads the template's tokens as such and what is marked as text. Tokens that the
    tokenizer does not call special are what they are wherever they stand. What a template makes of
    a text by taking characters out of it, or by joining two, is the template's.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        special = {
            token: each for token, each in tokenizer.added_tokens_decoder.items() if each.special
        }
        texts = [each.content for each in special.values()]
        # A tokenizer to which special tokens are text, and that reads an alias for each of them.
        # Aliases are random: nobody can write one.
        self._tokenizer: Tokenizer = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        self._tokenizer.encode_special_tokens = True
        self._aliases = {text: secrets.token_hex(16) for text in texts}
        self._tokenizer.add_tokens(
            [_alias(self._aliases[each.content], each) for each in special.values()]
        )
        self._ids = {
            self._tokenizer.token_to_id(self._aliases[each.content]): token
            for token, each in special.items()
        }
        self._stand_ins = {text: secrets.token_hex(16) for text in texts}
        self._texts = {stand_in: text for text, stand_in in self._stand_ins.items()}
        self._special = re.compile(_any_of(texts))
        self._marked = re.compile(f"{_ANY_BEGIN}({_any_of(texts)}){_ANY_END}")
        self._stand_in = re.compile(_any_of(self._texts))
        self.changing = any(each.normalized for each in special.values())
        """Whether a text is changed before tokens are looked for: its letters then do not tell."""

    def marked(self, value: Any) -> Any:
        """A JSON value with marks around what reads like a token in its texts."""
        if isinstance(value, str):
            return self._special.sub(f"{_BEGIN}\\g<0>{_END}", _MARKS.sub("", value))
        if isinstance(value, list):
            return [self.marked(each) for each in cast("list[Any]", value)]
        if isinstance(value, dict):
            items = cast("dict[str, Any]", value).items()
            return {self.marked(name): self.marked(each) for name, each in items}
        return value

    def unmarked(self, text: str) -> str:
        """What a template wrote, without marks."""
        return _MARKS.sub("", text)

    def encode_chat(self, text: str, *, special: bool) -> list[int]:
        """The tokens of what a template wrote of a chat with marks."""
        text = self._marked.sub(lambda found: self._stand_ins[found[1]], text)
        text = self._special.sub(lambda found: self._aliases[found[0]], text)
        # A mark left alone kept what is on its sides apart until here: now all else is text.
        text = self._stand_in.sub(lambda found: self._texts[found[0]], self.unmarked(text))
        ids = self.encode(text, special=special).ids
        return [self._ids.get(token, token) for token in ids]

    def encode(self, text: str | tuple[str, str], *, special: bool) -> Encoding:
        """Read a text or a pair as text alone; `special` puts the usual tokens around it."""
        (encoding,) = self._tokenizer.encode_batch([text], add_special_tokens=special)
        return encoding


def shown(chat: Chat, control: ControlTokens | None) -> dict[str, Any]:
    """What a template takes of a chat; with `control`, marks are around what reads like a token."""
    return control.marked(chat.shown()) if control else chat.shown()


def _any_of(texts: Iterable[str]) -> str:
    """A pattern of the longest of some texts; of none, what is nowhere."""
    longest_first = sorted(texts, key=len, reverse=True)
    return "|".join(map(re.escape, longest_first)) or "(?!)"


def _alias(name: str, token: AddedToken) -> AddedToken:
    """A token that is looked for as another is."""
    return AddedToken(
        name,
        single_word=token.single_word,
        lstrip=token.lstrip,
        rstrip=token.rstrip,
        normalized=False,
        special=False,
    )
