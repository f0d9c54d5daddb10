"""Readings: what is looked up in the engine when somebody asks, so that nothing grows stale."""

import time
from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from server.engine.engine import Engine
from server.engine.loaded import Loaded, loaded
from server.engine.stats import Stats
from server.engine.step_times import StepTimes
from server.metrics.versions import version_metrics


class Readings(Collector):
    """Reads an engine's Stats, and which tasks it has loaded, as Prometheus' metrics."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        """Read them all, at one moment."""
        stats = self._engine.stats()
        for name, text, value in _gauges(stats):
            yield GaugeMetricFamily(name, text, value=value)
        for name, text, count in _counters(stats):
            yield CounterMetricFamily(name, text, value=count)
        yield _step_seconds(self._engine.core.times)
        yield _at_work(stats)
        yield _loaded(loaded(self._engine.core.residency, self._engine.registry))
        yield from version_metrics(self._engine.traffic.tally)


def _gauges(stats: Stats) -> list[tuple[str, str, float]]:
    return [
        ("vllm:num_requests_waiting", "Sequences that wait", stats.waiting),
        ("vllm:num_requests_running", "Sequences that run", stats.running),
        ("vllm:kv_cache_usage_perc", "Share of the cache in use", stats.cache_usage),
        (
            "polydelta_expected_wait_seconds",
            "Time until a place is expected",
            stats.expected_wait,
        ),
        ("vllm:max_gpu_lora_adapters", "Slots for deltas", stats.max_deltas),
        ("vllm:num_gpu_loaded_lora_adapters", "Deltas in slots", stats.device_deltas),
        (
            "vllm:num_cpu_loaded_lora_adapters",
            "Deltas in host memory, some of them in slots, too",
            stats.host_deltas,
        ),
    ]


def _counters(stats: Stats) -> list[tuple[str, str, int]]:
    return [
        (
            "vllm:prefix_cache_queries",
            "Tokens looked for in the prefix cache",
            stats.prefix_queries,
        ),
        ("vllm:prefix_cache_hits", "Tokens found in the prefix cache", stats.prefix_hits),
        ("vllm:num_preemptions", "Sequences that had to start over", stats.preemptions),
    ]


def _step_seconds(times: StepTimes) -> Metric:
    family = CounterMetricFamily(
        "polydelta_step_seconds", "Seconds that steps took, by part", labels=["part"]
    )
    for part in ("schedule", "forward", "choose", "deliver"):
        family.add_metric([part], getattr(times, part))
    return family


def _at_work(stats: Stats) -> Metric:
    names = ["max_lora", "running_lora_adapters", "waiting_lora_adapters"]
    family = GaugeMetricFamily(
        "vllm:lora_requests_info", "When the tasks at work were these", labels=names
    )
    running, waiting = ",".join(stats.running_tasks), ",".join(stats.waiting_tasks)
    family.add_metric([str(stats.max_deltas), running, waiting], time.time())
    return family


def _loaded(tasks: Iterable[Loaded]) -> Metric:
    names = ["adapter_name", "level", "pinned", "rank"]
    family = GaugeMetricFamily(
        "vllm:lora_adapter_loaded", "1 for each task whose delta is in memory", labels=names
    )
    for each in tasks:
        level = "gpu" if each.on_device else "cpu"
        pinned = "true" if each.pinned else "false"
        family.add_metric([each.task, level, pinned, str(each.rank)], 1)
    return family
