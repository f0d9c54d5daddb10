"""The reader: what a request gives becomes a prompt and rules, away from the event loop."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TypeGuard, TypeVar

from deltas.delta import PromptStyle, TaskType
from server.engine.call_form import may_have_form
from server.engine.chat_template import task_template
from server.engine.content_form import may_take_parts
from server.engine.control_tokens import ControlTokens, shown
from server.engine.limits import Limits
from server.engine.prompt import Prompt, build_prompt, chat_of, chat_prompt
from server.engine.prompt_options import PromptOptions
from server.engine.request import Input, Pair, Request
from server.engine.room import ANY, Room
from server.engine.rules import rules_of
from server.engine.templates import Templates
from server.engine.tokens import Tokens
from server.errors import InvalidRequest
from server.model.base import Base
from server.model.reach import reach_of
from server.model.rules import Rule
from server.registry.version import Version

Result = TypeVar("Result")

_MOST = 1 << 17
"""Characters that are tokenised though they need not fit: what comes of them takes the lock."""
_LONG = 1 << 15
"""Characters that take some hundredths of a second."""
_GIVE_WAY = 5e-5
"""Seconds between two texts."""


class Reader:
    """Reads inputs, texts on threads of its own; `context` is how many tokens fit the base."""

    def __init__(self, base: Base, context: int, templates: Templates, limits: Limits) -> None:
        self._base = base
        self._tokenizer = base.tokenizer
        self._vocabulary = base.spec.vocabulary
        self._context = context
        self._templates = templates
        self._tokens = Tokens(base.tokenizer)
        self._limits = limits
        self._control = ControlTokens(base.tokenizer)
        self._reach = reach_of(base.tokenizer)
        self._typed = getattr(base.model.config, "type_vocab_size", 0) > 1
        self._reading = 0
        self._tokenizing = ThreadPoolExecutor(1, thread_name_prefix="tokenizer")
        # Long texts wait for each other alone.
        self._tokenizing_long = ThreadPoolExecutor(1, thread_name_prefix="long-tokenizer")

    async def read(
        self, request: Request, version: Version, *, generates: bool, fits: bool = True
    ) -> Prompt:
        """Make an input's prompt for a version.

        Raises InvalidRequest for what has none, ContextLengthExceeded for what is too long where
        it has to fit.
        """
        source = request.input
        room = self._room(version, generates) if fits else ANY
        if not fits:
            _check_size(_length(source))
        if version.type is TaskType.TAG and not isinstance(source, str):
            raise InvalidRequest(f"'{request.task}' tags plain texts; send one.", param="input")
        if version.type is TaskType.EMBED:
            source = self._prompted(source, request.prompt.name)
        self._check_judging(request)
        style = PromptStyle.TEXT if request.raw else version.prompt
        tools, options, control = request.tools, request.prompt, self._control_of(request)
        chat = chat_of(source, style, tools, generates=generates, options=options)
        if tools and not chat:
            raise InvalidRequest("Tools need a chat; send messages.", param="tools")
        if chat and version.chat_template:
            concerned = chat.concerns_tools and may_have_form(version.chat_template)
            form = await self._templates.form(version.chat_template) if concerned else None
            parted = may_take_parts(version.chat_template)
            in_parts = parted and await self._templates.takes_parts(version.chat_template)
            template = task_template(
                version.chat_template, form, self._tokenizer, in_parts=in_parts
            )
            chat = template.fitted(chat, tools)
            text = await self._templates.write(template.text, shown(chat, control))
            work = partial(
                chat_prompt, self._tokenizer, template, text, tools, room, options, control
            )
            prompt = await self._on_thread(work, len(text))
        else:
            read = partial(
                build_prompt,
                self._tokenizer,
                source,
                style,
                generates=generates,
                tools=tools,
                room=room,
                options=options,
                control=control,
            )
            # Tokens are only looked through, which takes less than another thread would.
            quick = _is_tokens(source) and len(source) <= self._context
            prompt = read() if quick else await self._on_thread(read, _length(source))
        # Tokenizers may know more tokens than their base, such as those that stand for images.
        if max(prompt.tokens) >= self._vocabulary:
            raise InvalidRequest("The input holds a token unknown to the base.", param="input")
        if self._base.reads_sources:
            # What is written is a text of its own.
            prompt = replace(prompt, continued=False)
        return prompt if self._typed else replace(prompt, types=())

    async def tokens(self, text: str, options: PromptOptions) -> list[int]:
        """A text's token ids, whether they fit or not.

        Raises InvalidRequest for a text that is too long.
        """
        _check_size(len(text))
        return await self._on_thread(partial(self._tokens.of, text, options), len(text))

    async def pieces(self, tokens: Sequence[int]) -> list[str]:
        """Each token as the vocabulary spells it."""
        return await self._on_thread(partial(self._tokens.pieces, tokens), len(tokens))

    async def text(self, tokens: Sequence[int]) -> str:
        """The text of token ids; raises InvalidRequest for those that there are not."""
        return await self._on_thread(partial(self._tokens.text, tokens), len(tokens))

    async def rules(self, request: Request, prompt: Prompt) -> tuple[Rule, ...]:
        """Make the rules by which a request's text is written for its prompt.

        Raises InvalidRequest for tokens that the base does not have.
        """
        sampling = request.sampling
        make = partial(rules_of, sampling, self._base, prompt.tokens)
        large = (
            sampling.logit_bias,
            sampling.allowed_token_ids,
            sampling.encoder_no_repeat_ngram_size,
        )
        if sampling.bad_words or any(large):
            return await self._on_thread(make, 0)
        return make()

    def close(self) -> None:
        """Read nothing more."""
        self._tokenizing.shutdown(wait=False)
        self._tokenizing_long.shutdown(wait=False)
        self._templates.close()

    def _prompted(self, source: Input, name: str | None) -> Input:
        """A text behind the prompt of a name, or behind the usual one."""
        prompts = self._base.prompts
        if name is not None and name not in prompts.named:
            known = ", ".join(prompts.named) or "none"
            raise InvalidRequest(
                f"The base has no prompt '{name[:64]}'; it has: {known}.", param="prompt_name"
            )
        if name is not None and not isinstance(source, str):
            raise InvalidRequest(
                "A prompt stands before a text; give the text, or put the prompt's tokens before "
                "those of the input.",
                param="prompt_name",
            )
        chosen = prompts.usual if name is None else name
        if chosen is None or not isinstance(source, str):
            return source
        return prompts.named.get(chosen, "") + source

    def _check_judging(self, request: Request) -> None:
        if self._base.reads_sources and request.sampling.prompt_logprobs is not None:
            text = "This base only reads the prompt: it cannot tell how likely its tokens are."
            raise InvalidRequest(text, param="prompt_logprobs")

    def _control_of(self, request: Request) -> ControlTokens | None:
        """What keeps texts from being read as special tokens, where they are not to be."""
        return None if self._limits.reads_control_tokens(raw=request.raw) else self._control

    def _room(self, version: Version, generates: bool) -> Room:
        extent = version.extent
        virtual = extent.rows + extent.cached
        if self._base.reads_sources:
            source = extent.source_rows + max(extent.source_cached, extent.crossed)
            # A head has the source's rows once more.
            virtual = source if generates else max(source, virtual)
        # A generation needs room for at least one token of its own.
        free = max(0, self._context - virtual - generates)
        return Room(free, self._reach, reserved=int(generates))

    async def _on_thread(self, work: Callable[[], Result], length: int) -> Result:
        thread = self._tokenizing_long if length > _LONG else self._tokenizing
        self._reading += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(thread, self._in_turn, work)
        finally:
            self._reading -= 1

    def _in_turn(self, work: Callable[[], Result]) -> Result:
        # The tokenizer gives the interpreter's lock away so often, and takes it back so soon, that
        # whoever waits for it neither wakes in time nor waits long enough to ask for it.
        if self._reading > 1:
            time.sleep(_GIVE_WAY)
        return work()


def _check_size(characters: int) -> None:
    if characters > _MOST:
        text = f"At most {_MOST} characters are tokenised at once: split the text."
        raise InvalidRequest(text, param="input")


def _is_tokens(source: Input) -> TypeGuard[tuple[int, ...]]:
    return isinstance(source, tuple) and bool(source) and isinstance(source[0], int)


def _length(source: Input) -> int:
    """Characters of text."""
    if isinstance(source, str):
        return len(source)
    if isinstance(source, Pair):
        return len(source.first) + len(source.second)
    return sum(part.characters for part in source if not isinstance(part, int))
