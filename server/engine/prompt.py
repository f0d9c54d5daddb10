"""Prompts: how a request's input becomes tokens."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tokenizers import Encoding
from transformers import PreTrainedTokenizerFast

from deltas.delta import PromptStyle
from server.engine.chat_template import ChatTemplate, base_template
from server.engine.control_tokens import ControlTokens, shown
from server.engine.message import Chat, Message
from server.engine.prompt_options import USUAL, PromptOptions
from server.engine.reply import ReplyForm
from server.engine.request import Input, Pair
from server.engine.room import ANY, Room
from server.engine.tools import NO_TOOLS, Tools
from server.errors import InvalidRequest

_SENTENCE = 200


@dataclass(frozen=True, slots=True)
class Prompt:
    """A tokenised input.

    `words` holds each token's stretch of characters [start, end) in `text` and the number of the
    word it belongs to, None for tokens that the tokenizer added. `types` are the tokens' types,
    which tell an encoder a pair's texts apart; empty where all are 0. `continued` says whether what
    is generated goes on in the middle of it, as a message's answer does not; `reply` how the
    answer's parts are marked, if it has any beside its text.
    """

    tokens: list[int]
    text: str = ""
    words: tuple[tuple[int, int, int] | None, ...] = ()
    types: tuple[int, ...] = ()
    continued: bool = True
    reply: ReplyForm | None = None


def chat_of(
    source: Input,
    style: PromptStyle,
    tools: Tools = NO_TOOLS,
    *,
    generates: bool,
    options: PromptOptions = USUAL,
) -> Chat | None:
    """The chat that a template writes out; None where there are no messages in an input.

    Generation reads a plain text in the given style.
    """
    if isinstance(source, str):
        chats = generates and style is PromptStyle.CHAT
        return Chat((Message("user", source),), tools.offered, options) if chats else None
    if isinstance(source, Pair) or not source or isinstance(source[0], int):
        return None
    turns = tuple(part for part in source if not isinstance(part, int))
    return Chat(turns, tools.offered, options)


def chat_prompt(
    tokenizer: PreTrainedTokenizerFast,
    template: ChatTemplate,
    text: str,
    tools: Tools = NO_TOOLS,
    room: Room = ANY,
    options: PromptOptions = USUAL,
    control: ControlTokens | None = None,
) -> Prompt:
    """Tokenise a chat that a template has written out, the special tokens with it.

    `control` has marked what reads like one in its messages, where that is to be read as text.
    """
    plain = control.unmarked(text) if control else text
    if options.truncate is None:
        room.check_text(plain)
    if control and (plain != text or control.changing):
        tokens = control.encode_chat(text, special=bool(options.special))
    else:
        tokens = _encode(tokenizer, plain, special=bool(options.special)).ids
    kept = room.kept(len(tokens), options)
    cut = len(kept) < len(tokens)
    tokens = _some([tokens[at] for at in kept])
    reply = template.reply(plain, tools)
    return Prompt(tokens, "" if cut else plain, continued=options.continues, reply=reply)


def build_prompt(
    tokenizer: PreTrainedTokenizerFast,
    source: Input,
    style: PromptStyle,
    *,
    generates: bool,
    tools: Tools = NO_TOOLS,
    room: Room = ANY,
    options: PromptOptions = USUAL,
    control: ControlTokens | None = None,
) -> Prompt:
    """Tokenise an input for a task that generates, or for one whose head reads it.

    Messages, and texts in the style of a chat, go through the base's own chat template. Other texts
    are read with the tokenizer's special tokens around them. With `control`, what a text says is
    text, even where it reads like a special token.
    Raises InvalidRequest for messages that the template does not take and for empty inputs,
    ContextLengthExceeded for an input without room.
    """
    if isinstance(source, Pair):
        return _pair(tokenizer, source, room, options, control)
    chat = chat_of(source, style, tools, generates=generates, options=options)
    template = base_template(tokenizer, chat, tools) if chat else None
    if chat and template:
        text = _written(tokenizer, template, shown(template.fitted(chat, tools), control))
        return chat_prompt(tokenizer, template, text, tools, room, options, control)
    if isinstance(source, str):
        return _text(tokenizer, source, room, options, control)
    if chat:
        raise InvalidRequest("This base has no chat template; send a text.", param="input")
    tokens = [token for token in source if isinstance(token, int)]
    return _tokens(tokenizer, tokens, room, options)


def _text(
    tokenizer: PreTrainedTokenizerFast,
    text: str,
    room: Room,
    options: PromptOptions,
    control: ControlTokens | None,
) -> Prompt:
    if options.truncate is None:
        room.check_text(text)
    special = options.special is not False
    if control:
        encoding = control.encode(text, special=special)
    else:
        encoding = _encode(tokenizer, text, special=special)
    # Those that the tokenizer puts around a text stay around what is left of it.
    ids, around = encoding.ids, encoding.special_tokens_mask
    kept = room.kept(len(ids), options, around)
    words = tuple(
        None if word is None else (start, end, word)
        for (start, end), word in zip(encoding.offsets, encoding.word_ids, strict=True)
    )
    tokens = _some([ids[at] for at in kept])
    cut = len(kept) < len(ids)
    return Prompt(tokens, "" if cut else text, tuple(words[at] for at in kept))


def _pair(
    tokenizer: PreTrainedTokenizerFast,
    pair: Pair,
    room: Room,
    options: PromptOptions,
    control: ControlTokens | None,
) -> Prompt:
    """As Transformers' `tokenizer(first, second)`, with types where the tokenizer gives any."""
    if options.truncate is None:
        room.check_text(pair.first + pair.second)
    texts, special = (pair.first, pair.second), options.special is not False
    if control:
        encoding = control.encode(texts, special=special)
    else:
        encoding = _encode(tokenizer, texts, special=special)
    ids, types = encoding.ids, encoding.type_ids
    kept = room.kept_of_pair(encoding.sequence_ids, options)
    typed = "token_type_ids" in tokenizer.model_input_names and any(types)
    tokens = _some([ids[at] for at in kept])
    return Prompt(tokens, types=tuple(types[at] for at in kept) if typed else ())


def _tokens(
    tokenizer: PreTrainedTokenizerFast, tokens: list[int], room: Room, options: PromptOptions
) -> Prompt:
    tokens = [tokens[at] for at in room.kept(len(tokens), options)]
    size = _size(tokenizer)
    if not tokens or not all(0 <= token < size for token in tokens):
        raise InvalidRequest(f"Token ids must be between 0 and {size - 1}.", param="input")
    return Prompt(tokens)


@lru_cache(maxsize=1)
def _size(tokenizer: PreTrainedTokenizerFast) -> int:
    """How many tokens there are: counting them takes longer than reading a prompt."""
    return len(tokenizer)


def _written(
    tokenizer: PreTrainedTokenizerFast, template: ChatTemplate, chat: Mapping[str, Any]
) -> str:
    given = dict(chat)
    try:
        text = tokenizer.apply_chat_template(
            given.pop("messages"), chat_template=template.text, tokenize=False, **given
        )
    except Exception as error:
        # A template rejects what it does not foresee (roles, order) with errors of its own.
        raise InvalidRequest(
            f"The base's chat template does not take these messages: {in_a_line(error)}. Check the "
            "roles and their order.",
            param="input",
        ) from error
    return str(text)


def in_a_line(error: Exception) -> str:
    """An error's own words, no more of them than a reader wants."""
    words = " ".join(str(error).split()).rstrip(".")
    return words if len(words) <= _SENTENCE else f"{words[:_SENTENCE]}…"


def _encode(
    tokenizer: PreTrainedTokenizerFast, source: str | tuple[str, str], *, special: bool
) -> Encoding:
    # Of a tokenizer's ways to encode, this one lets other threads run meanwhile.
    (encoding,) = tokenizer.backend_tokenizer.encode_batch([source], add_special_tokens=special)
    return encoding


def _some(tokens: list[int]) -> list[int]:
    if not tokens:
        raise InvalidRequest("The input holds no tokens; send some text.", param="input")
    return tokens
