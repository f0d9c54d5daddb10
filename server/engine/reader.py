"""The reader: what a request gives becomes a prompt, away from the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from deltas.delta import PromptStyle, TaskType
from server.engine.prompt import Prompt, build_prompt, chat_of, chat_prompt
from server.engine.request import Request
from server.engine.templates import Templates
from server.errors import InvalidRequest
from server.model.base import Base
from server.registry.version import Version

Result = TypeVar("Result")


class Reader:
    """Reads inputs, texts on a thread of its own; `context` is how many tokens fit the base."""

    def __init__(self, base: Base, context: int, templates: Templates) -> None:
        self._tokenizer = base.tokenizer
        self._vocabulary = base.spec.vocabulary
        self._context = context
        self._templates = templates
        self._tokenizing = ThreadPoolExecutor(1, thread_name_prefix="tokenizer")

    async def read(self, request: Request, version: Version, *, generates: bool) -> Prompt:
        """Make an input's prompt for a version; raises InvalidRequest for what has none."""
        source = request.input
        if version.type is TaskType.TAG and not isinstance(source, str):
            raise InvalidRequest(f"'{request.task}' tags plain texts; send one.", param="input")
        style = PromptStyle.TEXT if request.raw else version.prompt
        chat = chat_of(source, style, generates=generates) if version.chat_template else None
        if chat:
            text = await self._templates.write(version.chat_template, chat)
            prompt = await self._on_thread(partial(chat_prompt, self._tokenizer, text))
        else:
            read = partial(build_prompt, self._tokenizer, source, style, generates=generates)
            # Tokens are only looked through, which takes less than another thread would.
            quick = 0 < len(source) <= self._context and isinstance(source[0], int)
            prompt = read() if quick else await self._on_thread(read)
        # Tokenizers may know more tokens than their base, such as those that stand for images.
        if max(prompt.tokens) >= self._vocabulary:
            raise InvalidRequest("The input holds a token unknown to the base.", param="input")
        return prompt

    def close(self) -> None:
        """Read nothing more."""
        self._tokenizing.shutdown(wait=False)
        self._templates.close()

    async def _on_thread(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._tokenizing, work)
