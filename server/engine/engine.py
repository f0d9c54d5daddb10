"""The engine: the one façade through which everything is asked of the base and its deltas."""

import asyncio
import threading
from collections.abc import Iterable
from collections.abc import Sequence as List

from deltas.delta import Delta, DeltaRef, TaskType
from server.engine.admission import Admission
from server.engine.answer import Answer
from server.engine.answers import Answers, displaced, too_late
from server.engine.assembly import core_of
from server.engine.beams import check_beams, check_search
from server.engine.capacity import cache_blocks_of, context_of
from server.engine.event import Event
from server.engine.finder import Finder
from server.engine.grammars import Grammars
from server.engine.languages import start_of
from server.engine.last_errors import LastErrors
from server.engine.limits import Limits
from server.engine.observer import SILENT, Observer
from server.engine.pause import Gate, PauseMode
from server.engine.prompt import Prompt
from server.engine.reader import Reader
from server.engine.request import Request
from server.engine.residency import Residence
from server.engine.sequence import Key, Sequence, sequences_of
from server.engine.serving_loop import ServingLoop
from server.engine.shadows import Shadows, seeded
from server.engine.start import Start
from server.engine.stats import Stats, stats_of
from server.engine.step_thread import StepThread
from server.engine.templates import Templates
from server.engine.traffic import TrafficControl
from server.errors import Aborted, CapabilityMismatch, EngineDead, QueueFull, ShuttingDown
from server.model.base import Base
from server.model.runner import Runner
from server.model.threads import take
from server.registry.lease import Lease
from server.registry.registry import Registry
from server.registry.version import Version


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
        self.finder = Finder(registry)
        self.draining = False
        self.last_errors = LastErrors()
        self.limits = limits
        self._error: Exception | None = None
        self._gate = Gate()
        self._loop = ServingLoop()
        self._watching: asyncio.Task[None] | None = None
        self.cache_blocks = cache_blocks_of(base, limits)
        self.context = context_of(base, limits)
        templates = templates or Templates(base.tokenizer.special_tokens_map)
        self.reader = Reader(base, self.context, templates, limits)
        self._grammars = Grammars(base)
        self.runner = Runner(base, self.cache_blocks)
        bell = threading.Event()
        self.core = core_of(
            self.runner,
            registry,
            limits,
            bell,
            self._grammars.allow,
            self._hand_over,
            self._tell_loaded,
        )
        self._steps = StepThread(self.core, bell, self._take_threads, self._die)
        weight = registry.access.weight
        self._admission = Admission(limits, self.core.pace, self._displace, weight)
        self._answers = Answers(base.tokenizer, self._admission, self.core.abort, self._ended)
        self._shadows = Shadows(self._begin_unseen, limits.max_sequences)
        self.traffic = TrafficControl(registry, self._shadows)
        registry.on_checked = self._take_up
        registry.on_forgotten = self._forget

    async def start(self) -> None:
        """Begin to serve from the running loop."""
        self._loop.begin()
        self._steps.start()
        self._watching = asyncio.create_task(self._watch())

    async def stop(self, patience: float) -> None:
        """Take nothing new, give what runs `patience` seconds to end, and stop for good."""
        self.begin_drain()
        if self._watching is not None:
            self._watching.cancel()
        self.finder.close()
        try:
            async with asyncio.timeout(patience):
                await self._answers.all_ended()
        except TimeoutError:
            self._answers.fail(ShuttingDown("The server stopped before this request ended."))
        if self.alive:
            await asyncio.to_thread(self._steps.stop)
            await asyncio.to_thread(self.core.residency.close)
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
            ended = "The server was paused before this request ended; send again."
            self._answers.fail(Aborted(ended))
        elif mode == "wait":
            await self._answers.all_ended()
        if self.paused:
            self._steps.rest()
            await asyncio.to_thread(self._steps.wait_for_rest)

    def resume(self) -> None:
        """Go on with what rests and with what came meanwhile."""
        self._steps.go_on()
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
        return self.alive and self._loop.began and not self.draining

    async def submit(
        self, request: Request, lease: Lease | None = None, start: Start | None = None
    ) -> Answer:
        """Take a request, or raise the error that it meets; from here on it holds its version.

        `lease` pins the version that is to answer, where that is not simply the active one. Its
        rows begin with those of others where there is a `start`.
        """
        self._check_open()
        lease = lease or (await self.finder.leases(request.asked, 1, request.call))[0]
        keys: List[Key] = ()
        try:
            version = lease.version
            _check_capability(request, version)
            if version.type is TaskType.GENERATE:
                check_search(request, self.limits.max_sequences)
            # Reading a prompt takes long: whoever is refused is so before.
            keys = self._take(request, version)
            if lease.shadowed:
                request = seeded(request)
            prompt, sequences = await self._read(request, version)
            await self._gate.passed(request.call.patience)
            self._check_still_wanted(request, keys)
            self._admission.read(keys, len(prompt.tokens))
            answer = self._answers.open(request, lease, prompt, self.observer)
        except BaseException as error:
            self.last_errors.note(lease, error)
            if lease.traffic is not None:
                self.traffic.failed(lease, error)
            self._admission.drop(keys)
            lease.release()
            raise
        self._answers.expect(answer, request.call.patience)
        self.observer.admitted(len(prompt.tokens))
        if start is None:
            self.core.submit(sequences)
        else:
            start.add(sequences)
        return answer

    def start_of(self, requests: int) -> Start | None:
        """A common start of so many requests, where that brings them into one step."""
        return None if self.base.generates else Start(requests, self._launch)

    def stats(self) -> Stats:
        """What is running and waiting now."""
        return stats_of(self._admission, self.core, self.limits)

    def residence(self, ref: DeltaRef) -> Residence:
        """The nearest place where a delta's tensors are; the bare base's are always there."""
        return self.core.residency.residence(ref) if ref.digest else "device"

    async def _read(self, request: Request, version: Version) -> tuple[Prompt, list[Sequence]]:
        """What a request's rows are made of, and these."""
        generates = version.type is TaskType.GENERATE
        prompt = await self.reader.read(request, version, generates=generates)
        rules, matcher = (), None
        if generates:
            rules = await self.reader.rules(request, prompt)
            matcher = await self._grammars.matcher(request, version, prompt.reply)
        start = start_of(request.sampling, self.base) if generates else self.base.start_tokens
        sequences = sequences_of(request, version, prompt, rules, matcher, start)
        check_beams(sequences[0], self.core.scheduler.blocks, self.context)
        return prompt, sequences

    async def _begin_unseen(self, request: Request, lease: Lease) -> Answer:
        """Take a request beside those of callers, if none of them waits for a place."""
        self._check_may_begin_unseen()
        if lease.version.type is TaskType.GENERATE:
            check_search(request, self.limits.max_sequences)
        prompt, sequences = await self._read(request, lease.version)
        self._check_may_begin_unseen()
        answer = self._answers.open(request, lease, prompt, SILENT)
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
        self._grammars.check_own(ref, delta)
        self.core.residency.offer(ref, delta)

    def _forget(self, ref: DeltaRef) -> None:
        self.core.residency.forget(ref)
        self._loop.call(self.traffic.forget, ref)
        self._loop.call(self.last_errors.forget, ref)

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
            raise displaced()
        patience = request.call.patience
        if patience is not None and patience <= 0:
            raise too_late()

    def _displace(self, request: str) -> None:
        self.observer.refused()
        # One whose prompt is being read finds out when that is done.
        self._answers.displace(request)

    def _take_threads(self) -> None:
        if self.limits.threads is not None:
            take(self.limits.threads, self.runner.kernels)

    def _hand_over(self, events: List[Event]) -> None:
        self._loop.call(self._answers.deliver, events)

    def _tell_loaded(self, ref: DeltaRef, began: float, ended: float) -> None:
        self._loop.call(self.observer.loaded, ref, began, ended)

    def _ended(self, answer: Answer) -> None:
        if answer.error is not None:
            self.last_errors.note(answer.lease, answer.error)
        if answer.lease.traffic is not None:
            self.traffic.ended(answer)
        answer.lease.release()

    async def _watch(self) -> None:
        """Give up on a core whose step does not end: callers get an error, never a hang."""
        await self._steps.stalled(self.limits.stall_seconds)
        self._die(TimeoutError())

    def _die(self, error: Exception) -> None:
        self._error = error
        dead = EngineDead("The engine stopped on an internal error; restart the server.")
        self._loop.call(self._answers.fail, dead)


def _check_capability(request: Request, version: Version) -> None:
    generates = version.type is TaskType.GENERATE
    if request.generate is None or request.generate is generates:
        return
    wanted = "generates text" if request.generate else "does not generate text"
    raise CapabilityMismatch(
        f"This needs a task that {wanted}; '{request.task}' is of type {version.type.value}.",
        param="task",
    )
