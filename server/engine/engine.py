"""The engine: the one façade through which everything is asked of the base and its deltas."""

import asyncio
import logging
import threading
import time
from collections.abc import Iterable
from collections.abc import Sequence as List
from contextlib import suppress

from deltas.delta import Delta, DeltaRef, TaskType
from deltas.errors import PolydeltaError
from server.engine.admission import Admission
from server.engine.answer import Answer
from server.engine.blocks import BlockPool
from server.engine.capacity import cache_blocks_of, context_of
from server.engine.core import EngineCore
from server.engine.elsewhere import Elsewhere
from server.engine.event import Event
from server.engine.grammars import Grammars
from server.engine.limits import Limits
from server.engine.observer import SILENT, Observer
from server.engine.pause import Gate, PauseMode
from server.engine.prefix_cache import PrefixCache
from server.engine.prompt import Prompt
from server.engine.reader import Reader
from server.engine.request import Call, Request
from server.engine.residency import Residence, Residency
from server.engine.resolver import Resolver
from server.engine.scheduler import Scheduler
from server.engine.sequence import Key, Sequence, sequences_of
from server.engine.shadows import Shadows, seeded
from server.engine.spill import Spill
from server.engine.start import Start
from server.engine.stats import Stats, stats_of
from server.engine.templates import Templates
from server.engine.traffic import TrafficControl
from server.engine.turns import Turns
from server.errors import (
    Aborted,
    CapabilityMismatch,
    DeadlineExceeded,
    EngineDead,
    QueueFull,
    RowFailed,
    ShuttingDown,
    TaskNotFound,
)
from server.model.base import Base
from server.model.cache import BLOCK
from server.model.runner import Runner
from server.registry.lease import Lease
from server.registry.names import TaskName
from server.registry.registry import Registry
from server.registry.version import Version

_log = logging.getLogger(__name__)


class Engine:
    """Serves requests from one event loop; the core computes on a thread of its own."""

    def __init__(
        self,
        base: Base,
        registry: Registry,
        limits: Limits,
        observer: Observer = SILENT,
        templates: Templates | None = None,
    ) -> None:
        self.base = base
        self.registry = registry
        self.observer = observer
        self.resolver: Resolver | None = None
        self._elsewhere = Elsewhere(registry)
        self.draining = False
        self.limits = limits
        self._answers: dict[str, Answer] = {}
        self._deadlines: dict[str, asyncio.TimerHandle] = {}
        self._error: Exception | None = None
        self._gate = Gate()
        self._idle = asyncio.Event()
        self._idle.set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watching: asyncio.Task[None] | None = None
        blocks = self.cache_blocks = cache_blocks_of(base, limits)
        self.context = context_of(base, limits)
        templates = templates or Templates(base.tokenizer.special_tokens_map)
        self.reader = Reader(base, self.context, templates, limits)
        self._grammars = Grammars(base)
        self.runner = Runner(base, blocks)
        self.core = self._build_core(blocks)
        self._admission = Admission(limits, self.core.pace, self._displace)
        self._shadows = Shadows(self._begin_unseen, limits.max_sequences)
        self.traffic = TrafficControl(registry, self._shadows)
        registry.on_checked = self._take_up
        registry.on_forgotten = self._forget

    async def start(self) -> None:
        """Begin to serve from the running loop."""
        self._loop = asyncio.get_running_loop()
        self.core.start()
        self._watching = asyncio.create_task(self._watch())

    async def stop(self, patience: float) -> None:
        """Take nothing new, give what runs `patience` seconds to end, and stop for good."""
        self.begin_drain()
        if self._watching is not None:
            self._watching.cancel()
        self._elsewhere.close()
        if self.resolver is not None:
            self.resolver.close()
        try:
            async with asyncio.timeout(patience):
                await self._idle.wait()
        except TimeoutError:
            self._fail_all(ShuttingDown("The server stopped before this request ended."))
        if self.alive:
            await asyncio.to_thread(self.core.stop)
        await asyncio.to_thread(self.reader.close)
        self._grammars.close()
        await asyncio.to_thread(self.registry.close)

    def begin_drain(self) -> None:
        """Refuse new requests from now on, and finish what is there, even if it was paused."""
        self.draining = True
        self._shadows.drop()
        self.resume()

    async def pause(self, mode: PauseMode) -> None:
        """Begin nothing new until `resume`, and wait until nothing is computed any more."""
        self._check_open()
        self._gate.close()
        self._shadows.drop()
        if mode == "abort":
            self._fail_all(Aborted("The server was paused before this request ended; send again."))
        elif mode == "wait":
            await self._idle.wait()
        if self.paused:
            self.core.rest()
            await asyncio.to_thread(self.core.wait_for_rest)

    def resume(self) -> None:
        """Go on with what rests and with what came meanwhile."""
        self.core.go_on()
        self._gate.open()

    @property
    def paused(self) -> bool:
        """Whether new requests wait for `resume`."""
        return self._gate.closed

    @property
    def alive(self) -> bool:
        """Whether the core still computes."""
        return self._error is None

    @property
    def ready(self) -> bool:
        """Whether a new request would be taken."""
        return self.alive and self._loop is not None and not self.draining

    async def submit(
        self, request: Request, lease: Lease | None = None, start: Start | None = None
    ) -> Answer:
        """Take a request, or raise the error that it meets; from here on it holds its version.

        `lease` pins the version that is to answer, where that is not simply the active one. Its
        rows begin with those of others where there is a `start`.
        """
        self._check_open()
        lease = lease or (await self.leases(request.asked, 1, request.call))[0]
        keys: List[Key] = ()
        try:
            version = lease.version
            self._check_capability(request, version)
            # Reading a prompt takes long: whoever is refused is so before.
            keys = self._take(request, version)
            if lease.shadowed:
                request = seeded(request)
            prompt, sequences = await self._read(request, version)
            await self._gate.passed(request.call.patience)
            self._check_still_wanted(request, keys)
            self._admission.read(keys, len(prompt.tokens))
            answer = self._open(request, lease, prompt, self.observer)
        except BaseException as error:
            if lease.traffic is not None:
                self.traffic.failed(lease, error)
            self._admission.drop(keys)
            lease.release()
            raise
        self._watch_deadline(answer, request.call.patience)
        self.observer.admitted(len(prompt.tokens))
        if start is None:
            self.core.submit(sequences)
        else:
            start.add(sequences)
        return answer

    async def leases(self, task: TaskName, count: int, call: Call) -> list[Lease]:
        """Pin the version of a task that answers so many requests of a call.

        Where tasks are looked for elsewhere, that is waited for, as long as the call is patient.
        See `Registry.leases`.
        """
        try:
            leases = self.registry.leases(task, count, call.key)
        except TaskNotFound:
            if not await self._found(task, call):
                raise
            leases = self.registry.leases(task, count, call.key)
        ref = leases[0].version.ref
        try:
            await self._elsewhere.bring(ref, call.patience)
        except BaseException:
            for lease in leases:
                lease.release()
            raise
        call.versions.add(ref)
        return leases

    async def version(self, task: TaskName, call: Call) -> Version:
        """The version that would answer a call, looked for as `leases` does."""
        try:
            return self.registry.version(task)
        except TaskNotFound:
            if not await self._found(task, call):
                raise
        return self.registry.version(task)

    def start_of(self, requests: int) -> Start | None:
        """A common start of so many requests, where that brings them into one step."""
        return None if self.base.generates else Start(requests, self._launch)

    def stats(self) -> Stats:
        """What is running and waiting now."""
        return stats_of(self._admission, self.core, self.limits)

    def residence(self, ref: DeltaRef) -> Residence:
        """The nearest place where a delta's tensors are; the bare base's are always there."""
        return self.core.residency.residence(ref) if ref.digest else "device"

    async def _found(self, task: TaskName, call: Call) -> bool:
        if await self._elsewhere.has(task):
            return True
        return self.resolver is not None and await self.resolver.find(task.name, call.patience)

    def _build_core(self, blocks: int) -> EngineCore:
        bell = threading.Event()
        runner = self.runner
        limits = self.limits
        residency = Residency(
            runner.wiring,
            limits.max_deltas,
            limits.host_cache_bytes,
            self.registry.load,
            bell,
            Spill(self.registry.scratch),
            self._tell_loaded,
        )
        pool = BlockPool(blocks, BLOCK) if blocks else None
        prefixes = PrefixCache(pool) if pool is not None and limits.prefix_cache else None
        turns = Turns(lambda tenant: self.registry.tenant(tenant).weight)
        scheduler = Scheduler(
            residency, pool, limits.max_batch_tokens, limits.max_sequences, prefixes, turns
        )
        return EngineCore(
            runner,
            residency,
            scheduler,
            self.context,
            bell,
            self._grammars.allow,
            self._hand_over,
            self._die,
            limits.threads,
        )

    async def _read(self, request: Request, version: Version) -> tuple[Prompt, list[Sequence]]:
        """What a request's rows are made of, and these."""
        generates = version.type is TaskType.GENERATE
        prompt = await self.reader.read(request, version, generates=generates)
        rules, matcher = (), None
        if generates:
            rules = await self.reader.rules(request)
            matcher = await self._grammars.matcher(request, version, prompt.reply)
        return prompt, sequences_of(request, version, prompt, rules, matcher)

    def _open(self, request: Request, lease: Lease, prompt: Prompt, observer: Observer) -> Answer:
        """Have the core's events for a request come to its answer."""
        tokenizer, keeps = self.base.tokenizer, lease.shadowed
        answer = Answer(request, lease, prompt, tokenizer, observer, self._close, keeps=keeps)
        self._answers[request.id] = answer
        self._idle.clear()
        return answer

    async def _begin_unseen(self, request: Request, lease: Lease) -> Answer:
        """Take a request beside those of callers, if none of them waits for a place."""
        self._check_may_begin_unseen()
        prompt, sequences = await self._read(request, lease.version)
        self._check_may_begin_unseen()
        answer = self._open(request, lease, prompt, SILENT)
        self.core.submit(sequences)
        return answer

    def _check_may_begin_unseen(self) -> None:
        self._check_open()
        if self.paused or self._admission.full:
            raise Aborted("The server has other work.")

    def _launch(self, sequences: Iterable[Sequence]) -> None:
        """Begin what nobody has given up meanwhile."""
        self.core.submit([each for each in sequences if each.key[0] in self._answers])

    def _take_up(self, ref: DeltaRef, delta: Delta) -> None:
        self._grammars.check_own(delta)
        self.core.residency.offer(ref, delta)

    def _forget(self, ref: DeltaRef) -> None:
        self.core.residency.forget(ref)
        if self._loop is not None:
            # The registry changes tasks even while the loop ends.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self.traffic.forget, ref)

    def _check_open(self) -> None:
        if not self.alive:
            raise EngineDead("The engine has stopped; the server must be restarted.")
        if self.draining:
            raise ShuttingDown("The server is shutting down; try another one.")

    def _take(self, request: Request, version: Version) -> List[Key]:
        scheduler = self.core.scheduler
        lacks_slot = scheduler.lacks_slots and self.residence(version.ref) != "device"
        stuck = scheduler.lacks_blocks or lacks_slot
        try:
            return self._admission.take(request, version, self.context, stuck=stuck)
        except QueueFull:
            self.observer.refused()
            raise

    def _check_still_wanted(self, request: Request, keys: List[Key]) -> None:
        """Much may have happened while a prompt was read."""
        self._check_open()
        if not self._admission.holds(keys):
            raise _displaced()
        patience = request.call.patience
        if patience is not None and patience <= 0:
            raise _too_late()

    def _watch_deadline(self, answer: Answer, patience: float | None) -> None:
        if patience is not None:
            loop = asyncio.get_running_loop()
            self._deadlines[answer.id] = loop.call_later(patience, self._expire, answer)

    def _expire(self, answer: Answer) -> None:
        """Give up an answer that has not begun in time; one that has goes on."""
        if not self._admission.runs(answer.open_keys):
            answer.fail(_too_late())

    def _displace(self, request: str) -> None:
        self.observer.refused()
        answer = self._answers.get(request)
        # One whose prompt is being read finds out when that is done.
        if answer is not None:
            answer.fail(_displaced())

    def _check_capability(self, request: Request, version: Version) -> None:
        generates = version.type is TaskType.GENERATE
        if request.generate is None or request.generate is generates:
            return
        wanted = "generates text" if request.generate else "does not generate text"
        raise CapabilityMismatch(
            f"This needs a task that {wanted}; '{request.task}' is of type {version.type.value}.",
            param="task",
        )

    def _hand_over(self, events: List[Event]) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._deliver, events)

    def _tell_loaded(self, ref: DeltaRef, began: float, ended: float) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.observer.loaded, ref, began, ended)

    def _deliver(self, events: List[Event]) -> None:
        aborts: list[Key] = []
        for event in events:
            answer = self._answers.get(event.key[0])
            if answer is None:
                continue
            self._admission.note(event)
            try:
                if answer.handle(event):
                    self._admission.end(event.key)
                    aborts.append(event.key)
            except Exception as error:
                _log.exception("A row's answer could not be read.")
                answer.fail(RowFailed.of(error))
        self.core.abort(aborts)

    def _close(self, answer: Answer) -> None:
        if self._answers.pop(answer.id, None) is None:
            return
        if not self._answers:
            self._idle.set()
        deadline = self._deadlines.pop(answer.id, None)
        if deadline is not None:
            deadline.cancel()
        keys = answer.keys
        self._admission.drop(keys)
        self.core.abort(keys)
        if answer.lease.traffic is not None:
            self.traffic.ended(answer)
        answer.lease.release()

    async def _watch(self) -> None:
        """Give up on a core whose step does not end: callers get an error, never a hang."""
        limit = self.limits.stall_seconds
        while self.alive:
            await asyncio.sleep(min(1.0, limit / 4))
            since = self.core.busy_since
            if since is not None and time.monotonic() - since > limit:
                _log.critical("A step has not ended for %.0f s: the engine is given up.", limit)
                self._die(TimeoutError())

    def _die(self, error: Exception) -> None:
        self._error = error
        if self._loop is not None:
            dead = EngineDead("The engine stopped on an internal error; restart the server.")
            self._loop.call_soon_threadsafe(self._fail_all, dead)

    def _fail_all(self, error: PolydeltaError) -> None:
        for answer in list(self._answers.values()):
            answer.fail(error)


def _too_late() -> DeadlineExceeded:
    return DeadlineExceeded("The request's turn did not come within the time that you gave it.")


def _displaced() -> QueueFull:
    return QueueFull("Too many requests wait, and others are more entitled; try again.")
