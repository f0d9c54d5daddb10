"""Compiled grammars: made once, away from the event loop, and kept for those that come again."""

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from llguidance import LLMatcher, LLParserLimits, LLTokenizer

from deltas.delta import Delta, DeltaRef
from deltas.errors import InvalidDelta
from deltas.formats.answer_schema import ANSWER_SCHEMA
from server.engine.ending import Endings
from server.engine.grammar import Grammar
from server.engine.matcher import Masks, Matcher
from server.engine.reply import ReplyForm
from server.engine.request import Request
from server.errors import CapabilityMismatch, InvalidRequest, RequestError
from server.model.base import Base
from server.model.rules import TokenMask
from server.registry.names import TaskName
from server.registry.version import Version

_KEPT = 64
_WORDS = 300
_SECONDS = 2.0
_THREADS = 2
_STACK = 256 << 20
"""The library follows names by recursion; of so many bytes only those exist that it uses."""
_LIMITS = LLParserLimits(max_lexer_states=20_000, verbose_errors=False)


class Grammars:
    """Compiles grammars for a base's tokenizer; what is wrong with one is kept as well.

    Each tenant's are its own: how long one takes tells nobody what others asked for.
    """

    def __init__(self, base: Base) -> None:
        tokenizer = _tokenizer_of(base) if base.generates else None
        self._endings = Endings(tokenizer) if tokenizer else None
        self._known: OrderedDict[tuple[str, bytes], Future[Matcher]] = OrderedDict()
        self._lock = threading.Lock()
        self._compiling = _pool()
        self._masking = ThreadPoolExecutor(1, thread_name_prefix="masks")
        self._masks = Masks(base.spec.vocabulary, base.device)

    def check_own(self, ref: DeltaRef, delta: Delta) -> None:
        """Compile the schema that a task has, if any; raises InvalidDelta for a wrong one."""
        if delta.answer_schema:
            try:
                self._begin(_own(delta.answer_schema), TaskName.of(ref.task).tenant).result()
            except RequestError as error:
                raise InvalidDelta(f"{ANSWER_SCHEMA}: {error}") from None

    async def matcher(
        self, request: Request, version: Version, reply: ReplyForm | None
    ) -> Matcher | None:
        """What begins a text as its request wants it, or else as its task does.

        `reply` says what may come around the text. Raises what `compile` does.
        """
        grammar, tenant = request.grammar, request.call.tenant
        if grammar is None and version.answer_schema and not request.tools:
            grammar, tenant = _own(version.answer_schema), TaskName.of(version.ref.task).tenant
        if reply is not None and reply.grammar is not None:
            grammar = reply.grammar.around(grammar)
        return None if grammar is None else await self.compile(grammar, tenant)

    async def compile(self, grammar: Grammar, tenant: str) -> Matcher:
        """What begins a text that keeps to a tenant's grammar.

        Raises InvalidRequest, saying what is wrong with it or which of its features cannot be
        enforced; CapabilityMismatch if the base's tokenizer does not tell what its tokens write.
        """
        made = asyncio.wrap_future(self._begin(grammar, tenant))
        try:
            # Whoever gives up leaves the work to those who wait for it, too.
            async with asyncio.timeout(_SECONDS):
                return (await asyncio.shield(made)).copy()
        except TimeoutError:
            raise grammar.refused(f"takes more than {_SECONDS:.0f} seconds to compile") from None
        except InvalidRequest as error:
            # The one who sent it first may have called it otherwise.
            raise InvalidRequest(str(error), grammar.param) from None

    def _begin(self, grammar: Grammar, tenant: str) -> "Future[Matcher]":
        """Compile a grammar, unless its tenant has it already, from any thread."""
        if self._endings is None:
            raise CapabilityMismatch(
                "This base's tokenizer does not tell which bytes its tokens write: its texts keep "
                "to no grammar. Leave it out.",
                param=grammar.param,
            )
        grammar.check()
        key = tenant, grammar.digest
        with self._lock:
            if key not in self._known:
                self._known[key] = self._compiling.submit(compiled, grammar, self._endings)
            self._known.move_to_end(key)
            found = self._known[key]
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return found

    def allow(self, matchers: Sequence[Matcher]) -> "Future[list[TokenMask]]":
        """Find which tokens may come next in each."""
        return self._masking.submit(self._masks.allowed, matchers)

    def close(self) -> None:
        """Compile nothing more."""
        self._compiling.shutdown(wait=False, cancel_futures=True)
        self._masking.shutdown(wait=False)


def compiled(grammar: Grammar, endings: Endings) -> Matcher:
    """Compile a grammar for the tokenizer of `endings`.

    Raises InvalidRequest, saying why, for one that cannot be kept to.
    """
    try:
        written = grammar.written()
    except (ValueError, RecursionError) as error:
        raise grammar.refused(f"cannot be kept to: {_sentence(str(error))}") from None
    state = LLMatcher(endings.tokenizer, written, log_level=0, limits=_LIMITS)
    matcher = Matcher(state, endings)
    matcher.prepare()
    if matcher.state.is_error():
        raise grammar.refused(f"cannot be kept to: {_sentence(matcher.state.get_error())}")
    return matcher


def _own(schema: str) -> Grammar:
    return Grammar("json_schema", schema, "task")


def _sentence(text: str) -> str:
    """What the library says, without what it adds for its own developers."""
    lines = text.replace("<non-verbose/>", "").split("\n")
    return " ".join(" ".join(lines).split())[:_WORDS].rstrip(".")


def _tokenizer_of(base: Base) -> LLTokenizer | None:
    tokens = max(base.spec.vocabulary, len(base.tokenizer))
    ends = sorted(base.end_tokens) or None
    try:
        return LLTokenizer(base.tokenizer.backend_tokenizer.to_str(), tokens, ends)
    except ValueError:
        return None


def _pool() -> ThreadPoolExecutor:
    """Threads with room for deep recursion."""
    pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="grammars")
    begun = threading.Barrier(_THREADS)
    before = threading.stack_size(_STACK)
    try:
        for started in [pool.submit(begun.wait) for _ in range(_THREADS)]:
            started.result()
    finally:
        threading.stack_size(before)
    return pool
