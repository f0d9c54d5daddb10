"""Templates: chats written out by what came with a delta, in a process that can be ended."""

import asyncio
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Lock
from typing import Any, TypeAlias, TypeVar

from deltas.delta import Delta
from deltas.errors import InvalidDelta
from server.engine.call_form import CallForm, form_of
from server.engine.content_form import takes_parts
from server.engine.message import Chat, Message
from server.errors import InvalidRequest, ServerError

_log = logging.getLogger(__name__)

_WORKER = Path(__file__).with_name("template_worker.py")
_KEPT = ("HOME", "LANG", "LD_LIBRARY_PATH", "PATH", "PYTHONPATH", "TZ")
"""All of the environment that the process gets: it may hold secrets."""

_START_SECONDS = 120.0
_ANSWER_SECONDS = 10.0
"""Its own limit is one second of processor time; a busy machine takes longer to give that."""
_BARRED_SECONDS = 30.0
"""How long a template that had to be ended is not tried again."""

_MOST_KNOWN = 64

_Write: TypeAlias = Callable[[Chat], str | None]
_Trait = TypeVar("_Trait")

_PROBE = Chat((Message("user", "Hello"),))


@dataclass(frozen=True, slots=True)
class _Process:
    process: "subprocess.Popen[bytes]"
    connection: Connection


class _UnsoundError(Exception):
    """A template does not write a chat out, whether it would or not."""


class Templates:
    """Writes chats out as Transformers does, one at a time; thread-safe.

    `variables` are the special tokens that a template may name. The process begins with the first
    chat and is begun anew when a template had to be ended with it.
    """

    def __init__(self, variables: Mapping[str, object]) -> None:
        self._variables = dict(variables)
        self._lock = Lock()
        self._process: _Process | None = None
        self._barred: dict[str, float] = {}
        self._forms: dict[str, CallForm | None] = {}
        self._in_parts: dict[str, bool] = {}
        # A slow template keeps others of its like waiting, and nobody else.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="templates")

    async def write(self, template: str, chat: Mapping[str, Any]) -> str:
        """Write out what a chat shows.

        Raises InvalidRequest with the template's own words if it does not take it.
        """
        loop = asyncio.get_running_loop()
        answer = await loop.run_in_executor(self._thread, self._ask, template, chat)
        if "text" not in answer:
            reason = answer.get("refusal") or answer["unsound"]
            raise InvalidRequest(
                f"The task's chat template does not take these messages: {reason}.", param="input"
            )
        return answer["text"]

    async def form(self, template: str) -> CallForm | None:
        """How a template writes calls; None if that is no form that can be forced."""
        return await self._found(template, form_of, self._forms)

    async def takes_parts(self, template: str) -> bool:
        """Whether a template writes contents out in parts alone."""
        return bool(await self._found(template, takes_parts, self._in_parts))

    async def _found(
        self, template: str, find: Callable[[_Write], _Trait], known: dict[str, _Trait]
    ) -> _Trait | None:
        """What is known of a template, or found by what it writes."""
        if template not in known:
            loop = asyncio.get_running_loop()
            try:
                found = await loop.run_in_executor(self._thread, self._probe, template, find)
            except _UnsoundError:
                # It may have been a busy machine's fault: it is probed again.
                return None
            known[template] = found
            if len(known) > _MOST_KNOWN:
                known.pop(next(iter(known)))
            return found
        return known[template]

    def _probe(self, template: str, find: Callable[[_Write], _Trait]) -> _Trait:
        def write(chat: Chat) -> str | None:
            answer = self._ask(template, chat.shown())
            if "unsound" in answer:
                raise _UnsoundError
            return answer.get("text")

        return find(write)

    def vet(self, delta: Delta) -> None:
        """Raise InvalidDelta if a delta's template cannot be used, whatever the chat."""
        if delta.chat_template:
            answer = self._ask(delta.chat_template, _PROBE.shown())
            if "unsound" in answer:
                raise InvalidDelta(f"The chat template cannot be used: {answer['unsound']}.")

    def close(self) -> None:
        """End the process; nothing is written out afterwards."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            self._end()

    def _ask(self, template: str, chat: Mapping[str, Any]) -> dict[str, str]:
        job = {"template": template, "chat": {**chat, **self._variables}}
        with self._lock:
            if self._barred.get(template, 0.0) > time.monotonic():
                return {"unsound": "it did not end lately"}
            worker = self._running()
            try:
                worker.connection.send_bytes(json.dumps(job).encode())
                if worker.connection.poll(_ANSWER_SECONDS):
                    return json.loads(worker.connection.recv_bytes())
            except (OSError, EOFError):
                pass
            self._end()
            self._bar(template)
            return {"unsound": "it takes more than a second of processor time"}

    def _running(self) -> _Process:
        if self._process is not None and self._process.process.poll() is None:
            return self._process
        self._end()
        ours, theirs = Pipe()
        with theirs:
            # -P: the working directory may hold modules, too.
            process = subprocess.Popen(
                [sys.executable, "-P", str(_WORKER), str(theirs.fileno())],
                env={name: os.environ[name] for name in _KEPT if name in os.environ},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        self._process = _Process(process, ours)
        try:
            if ours.poll(_START_SECONDS) and ours.recv_bytes():
                return self._process
        except (OSError, EOFError):
            pass
        self._end()
        raise ServerError("The process that writes chats out does not start; the log says why.")

    def _end(self) -> None:
        if self._process is not None:
            self._process.process.kill()
            self._process.process.wait()
            self._process.connection.close()
            self._process = None

    def _bar(self, template: str) -> None:
        _log.warning("A task's chat template had to be ended.")
        now = time.monotonic()
        self._barred = {each: until for each, until in self._barred.items() if until > now}
        self._barred[template] = now + _BARRED_SECONDS
