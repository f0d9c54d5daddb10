"""Control tokens: what users write is text, even where it reads like a token that ends a turn."""

import re
import secrets
from typing import Any, cast

from tokenizers import AddedToken, Encoding, Tokenizer
from transformers import PreTrainedTokenizerFast

from server.engine.message import Chat


class ControlTokens:
    """A tokenizer's special tokens, read where a chat template wrote them and nowhere else.

    `hidden` puts stand-ins into what users wrote; a template then writes the chat out, and `encode`
    reads its tokens as such and the stand-ins as the texts that they stand for. Both are random, so
    that nobody can write one. Tokens that the tokenizer does not call special are text anyway.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        special = {
            token: each for token, each in tokenizer.added_tokens_decoder.items() if each.special
        }
        # A tokenizer to which special tokens are text, and that reads an alias for each of them.
        self._tokenizer: Tokenizer = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        self._tokenizer.encode_special_tokens = True
        self._aliases = {each.content: secrets.token_hex(16) for each in special.values()}
        self._stand_ins = {each.content: secrets.token_hex(16) for each in special.values()}
        self._tokenizer.add_tokens(
            [_alias(self._aliases[each.content], each) for each in special.values()]
        )
        self._ids = {
            self._tokenizer.token_to_id(self._aliases[each.content]): token
            for token, each in special.items()
        }
        self._special = _any_of(self._aliases)
        self._stand_in = _any_of(self._stand_ins.values())
        self._texts = {stand_in: text for text, stand_in in self._stand_ins.items()}
        self.changing = any(each.normalized for each in special.values())
        """Whether a text is changed before tokens are looked for: its letters then do not tell."""

    def shown(self, chat: Chat) -> dict[str, Any]:
        """What a template takes of a chat, its special tokens hidden."""
        return self.hidden(chat.shown())

    def hidden(self, value: Any) -> Any:
        """A JSON value with stand-ins for the special tokens in its texts."""
        if isinstance(value, str):
            return self._special.sub(lambda found: self._stand_ins[found[0]], value)
        if isinstance(value, list):
            return [self.hidden(each) for each in cast("list[Any]", value)]
        if isinstance(value, dict):
            items = cast("dict[str, Any]", value).items()
            return {self.hidden(name): self.hidden(each) for name, each in items}
        return value

    def revealed(self, text: str) -> str:
        """What a template wrote, with the texts that the stand-ins stand for."""
        return self._stand_in.sub(lambda found: self._texts[found[0]], text)

    def encode_chat(self, text: str, *, special: bool) -> list[int]:
        """The tokens of what a template wrote of hidden messages."""
        text = self._special.sub(lambda found: self._aliases[found[0]], text)
        ids = self.encode(self.revealed(text), special=special).ids
        return [self._ids.get(token, token) for token in ids]

    def encode(self, text: str, *, special: bool) -> Encoding:
        """Read a text as text alone; `special` puts the usual special tokens around it."""
        (encoding,) = self._tokenizer.encode_batch([text], add_special_tokens=special)
        return encoding


def _any_of(texts: Any) -> re.Pattern[str]:
    """A pattern of the longest of some texts; of none, what is nowhere."""
    longest_first = sorted(texts, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or "(?!)")


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
