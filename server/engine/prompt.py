"""Prompts: how a request's input becomes tokens."""

from dataclasses import dataclass
from functools import lru_cache

from tokenizers import Encoding
from transformers import PreTrainedTokenizerFast

from deltas.delta import PromptStyle
from server.engine.chat_template import ChatTemplate, base_template
from server.engine.message import Chat, Message
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
    source: Input, style: PromptStyle, tools: Tools = NO_TOOLS, *, generates: bool
) -> Chat | None:
    """The chat that a template writes out; None where there are no messages in an input.

    Generation reads a plain text in the given style.
    """
    if isinstance(source, str):
        chats = generates and style is PromptStyle.CHAT
        return Chat((Message("user", source),), tools.offered) if chats else None
    if isinstance(source, Pair) or not source or isinstance(source[0], int):
        return None
    return Chat(tuple(part for part in source if not isinstance(part, int)), tools.offered)


def chat_prompt(
    tokenizer: PreTrainedTokenizerFast,
    template: ChatTemplate,
    text: str,
    tools: Tools = NO_TOOLS,
    room: Room = ANY,
) -> Prompt:
    """Tokenise a chat that a template has written out, the special tokens with it."""
    tokens = list(_encode(tokenizer, text, room, special=False).ids)
    return Prompt(tokens, text, continued=False, reply=template.reply(text, tools))


def build_prompt(
    tokenizer: PreTrainedTokenizerFast,
    source: Input,
    style: PromptStyle,
    *,
    generates: bool,
    tools: Tools = NO_TOOLS,
    room: Room = ANY,
) -> Prompt:
    """Tokenise an input for a task that generates, or for one whose head reads it.

    Messages, and texts in the style of a chat, go through the base's own chat template. Other texts
    are read with the tokenizer's special tokens around them.
    Raises InvalidRequest for messages that the template does not take and for empty inputs,
    ContextLengthExceeded for an input without room.
    """
    if isinstance(source, Pair):
        return _pair(tokenizer, source, room)
    chat = chat_of(source, style, tools, generates=generates)
    template = base_template(tokenizer, tools) if chat else None
    if chat and template:
        text = _written(tokenizer, template, template.fitted(chat, tools))
        return chat_prompt(tokenizer, template, text, tools, room)
    if isinstance(source, str):
        return _text(tokenizer, source, room)
    if chat:
        raise InvalidRequest("This base has no chat template; send a text.", param="input")
    return _tokens(tokenizer, [token for token in source if isinstance(token, int)], room)


def _text(tokenizer: PreTrainedTokenizerFast, text: str, room: Room) -> Prompt:
    encoding = _encode(tokenizer, text, room, special=True)
    words = tuple(
        None if word is None else (start, end, word)
        for (start, end), word in zip(encoding.offsets, encoding.word_ids, strict=True)
    )
    return Prompt(list(encoding.ids), text, words)


def _pair(tokenizer: PreTrainedTokenizerFast, pair: Pair, room: Room) -> Prompt:
    """As Transformers' `tokenizer(first, second)`, with types where the tokenizer gives any."""
    encoding = _encode(tokenizer, pair, room, special=True)
    typed = "token_type_ids" in tokenizer.model_input_names and any(encoding.type_ids)
    return Prompt(list(encoding.ids), types=tuple(encoding.type_ids) if typed else ())


def _tokens(tokenizer: PreTrainedTokenizerFast, tokens: list[int], room: Room) -> Prompt:
    room.check_tokens(len(tokens))
    size = _size(tokenizer)
    if not tokens or not all(0 <= token < size for token in tokens):
        raise InvalidRequest(f"Token ids must be between 0 and {size - 1}.", param="input")
    return Prompt(tokens)


@lru_cache(maxsize=1)
def _size(tokenizer: PreTrainedTokenizerFast) -> int:
    """How many tokens there are: counting them takes longer than reading a prompt."""
    return len(tokenizer)


def _written(tokenizer: PreTrainedTokenizerFast, template: ChatTemplate, chat: Chat) -> str:
    try:
        variables = chat.shown()
        text = tokenizer.apply_chat_template(
            variables["messages"],
            tools=variables["tools"],
            chat_template=template.text,
            tokenize=False,
            add_generation_prompt=True,
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
    tokenizer: PreTrainedTokenizerFast, source: str | Pair, room: Room, *, special: bool
) -> Encoding:
    texts = (source,) if isinstance(source, str) else (source.first, source.second)
    room.check_text("".join(texts))
    read = texts if len(texts) > 1 else texts[0]
    # Of a tokenizer's ways to encode, this one lets other threads run meanwhile.
    (encoding,) = tokenizer.backend_tokenizer.encode_batch([read], add_special_tokens=special)
    if not len(encoding):
        raise InvalidRequest("The input holds no tokens; send some text.", param="input")
    room.check_tokens(len(encoding))
    return encoding
