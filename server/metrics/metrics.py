"""Metrics: what the engine does, under the names that vLLM's routers and dashboards read."""

from collections import deque
from dataclasses import asdict

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from deltas.delta import DeltaRef
from server.engine.engine import Engine
from server.engine.loaded import Loaded, loaded
from server.engine.timeline import Timeline
from server.metrics.readings import Readings
from server.metrics.registry import RegistryReadings
from server.metrics.snapshot import FailureBody, QueueBody, SlotBody, Snapshot, StepBody
from server.system.memory import resident

_MAX_TASKS = 256
_OTHER_TASKS = "(other)"
_FAILURES = 20

_STEP_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_LOAD_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """Observes an engine and counts in a registry of its own.

    Task names are open-ended: those met first have a series each, later ones share one.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._failures = deque[FailureBody](maxlen=_FAILURES)
        self._registry = CollectorRegistry()
        self._registry.register(Readings(engine))
        self._registry.register(RegistryReadings(engine.registry))
        self._tasks: set[str] = set()
        self._first_token = self._histogram(
            "vllm:time_to_first_token_seconds", "Time to first token", _REQUEST_BUCKETS
        )
        self._inter_token = self._histogram(
            "vllm:inter_token_latency_seconds", "Time between two tokens", _STEP_BUCKETS
        )
        self._end_to_end = self._histogram(
            "vllm:e2e_request_latency_seconds", "Time from request to end", _REQUEST_BUCKETS
        )
        self._queued = self._histogram(
            "vllm:request_queue_time_seconds", "Time from request to first step", _REQUEST_BUCKETS
        )
        self._loads = self._histogram(
            "vllm:lora_adapter_load_seconds", "Time to read a delta into host memory", _LOAD_BUCKETS
        )
        self._read = self._counter("vllm:prompt_tokens", "Prompt tokens")
        self._written = self._counter("vllm:generation_tokens", "Generated tokens")
        self._refused = self._counter("polydelta_refused", "Requests refused for want of a place")
        self._ended = self._counter(
            "vllm:request_success", "Sequences that ended well", "finished_reason"
        )
        self._by_task = self._counter(
            "polydelta_sequences", "Sequences that ended, by task", "task", "reason"
        )

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def snapshot(self, now: float) -> Snapshot:
        """What the server does at this moment, `now` in Unix seconds."""
        stats = self._engine.stats()
        in_memory = loaded(self._engine.core.residency, self._engine.registry)
        first, written = _within(self._first_token), _within(self._inter_token)
        return Snapshot(
            time=now,
            running=stats.running,
            waiting=stats.waiting,
            expected_wait=stats.expected_wait,
            cache_usage=stats.cache_usage,
            slots=stats.max_deltas,
            device_deltas=stats.device_deltas,
            host_deltas=stats.host_deltas,
            prefix_queries=stats.prefix_queries,
            prefix_hits=stats.prefix_hits,
            # Texts under way count, which they do not among generated tokens until they end.
            tokens=first[-1][1] + written[-1][1],
            refused=_count(self._refused),
            memory=resident(),
            first_token=first,
            queue=_queue(self._queued),
            step=StepBody(**asdict(self._engine.core.times)),
            tasks=[_slot(each) for each in in_memory if each.on_device],
            errors=list(self._failures),
        )

    def failed(self, failure: FailureBody) -> None:
        """Remember a request that was not answered well."""
        self._failures.appendleft(failure)

    def admitted(self, prompt_tokens: int) -> None:
        """Count a request's prompt."""
        self._read.inc(prompt_tokens)

    def refused(self) -> None:
        """Count a request for which no place was expected soon enough."""
        self._refused.inc()

    def started(self, queued: float) -> None:
        """Count the seconds that a sequence waited for its first step."""
        self._queued.observe(queued)

    def first_token(self, elapsed: float) -> None:
        """Count the seconds until a sequence's first token."""
        self._first_token.observe(elapsed)

    def next_token(self, elapsed: float) -> None:
        """Count the seconds between two tokens."""
        self._inter_token.observe(elapsed)

    def loaded(self, ref: DeltaRef, began: float, ended: float) -> None:
        """Count the seconds that it took to read a delta."""
        del ref
        self._loads.observe(ended - began)

    def ended(self, timeline: Timeline) -> None:
        """Count nothing: its sequences were."""

    def finished(self, task: str, reason: str, elapsed: float, tokens: int) -> None:
        """Count a sequence's end and its tokens."""
        self._written.inc(tokens)
        self._end_to_end.observe(elapsed)
        if reason in ("stop", "length"):
            self._ended.labels(reason).inc()
        self._by_task.labels(self._label(task), reason).inc()

    def _label(self, task: str) -> str:
        if len(self._tasks) < _MAX_TASKS:
            self._tasks.add(task)
        return task if task in self._tasks else _OTHER_TASKS

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, text, buckets=buckets, registry=self._registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self._registry)


def _slot(task: Loaded) -> SlotBody:
    return SlotBody(task=task.task, pinned=task.pinned)


def _within(histogram: Histogram) -> list[tuple[float | None, int]]:
    """How much was observed up to each bound, and at all under None."""
    (family,) = histogram.collect()
    found = [
        (sample.labels["le"], int(sample.value))
        for sample in family.samples
        if sample.name.endswith("_bucket")
    ]
    return [(None if bound == "+Inf" else float(bound), count) for bound, count in found]


def _queue(histogram: Histogram) -> QueueBody:
    (family,) = histogram.collect()
    values = {sample.name.rpartition("_")[2]: sample.value for sample in family.samples}
    return QueueBody(started=int(values["count"]), seconds=values["sum"])


def _count(counter: Counter) -> int:
    (family,) = counter.collect()
    return int(next(each.value for each in family.samples if each.name.endswith("_total")))
