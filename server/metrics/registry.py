"""The registry's metrics: what it holds and what it did, looked up when somebody asks."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from server.registry.registry import Registry
from server.registry.sources.address import SCHEMES
from server.registry.stats import RegistryStats
from server.registry.tally import DONE, Counted, Labels, Tally


@dataclass(frozen=True)
class _Counter:
    """One of a tally's counts under its metric's name; `known` are there from the start."""

    what: Counted
    name: str
    text: str
    labels: Labels = ()
    known: Iterable[Labels] = ((),)

    def read(self, tally: Tally) -> Metric:
        counts = dict.fromkeys(self.known, 0.0) | tally.counts(self.what)
        family = CounterMetricFamily(self.name, self.text, labels=self.labels)
        for labels, count in sorted(counts.items()):
            family.add_metric(labels, count)
        return family


_CHANGES = ("put", "remove", "activate", "alias", "share", "unshare", "step_back")
_UNSERVED = "Watched folders that are not served as they are now"
_LOOKUPS = ("found", "absent", "absent_before", "failed")

_COUNTERS = (
    _Counter(
        Counted.CHANGES,
        "polydelta_registry_changes",
        "Changes of tasks asked of this server",
        ("change", "outcome"),
        [(kind, DONE) for kind in _CHANGES],
    ),
    _Counter(
        Counted.RETIRED,
        "polydelta_versions_retired",
        "Versions let go by the rules for what is kept",
    ),
    _Counter(
        Counted.FETCHES,
        "polydelta_fetches",
        "Deltas fetched from sources",
        ("scheme", "outcome"),
        [(scheme, DONE) for scheme in SCHEMES],
    ),
    _Counter(
        Counted.FETCHED_BYTES,
        "polydelta_fetched_bytes",
        "Bytes that came from sources",
        ("scheme",),
        [(scheme,) for scheme in SCHEMES],
    ),
    _Counter(
        Counted.FETCHING_SECONDS,
        "polydelta_fetch_seconds",
        "Seconds spent on fetching",
        ("scheme",),
        [(scheme,) for scheme in SCHEMES],
    ),
    _Counter(
        Counted.WATCH_FAILURES,
        "polydelta_watch_failures",
        "Watched folders that could not be served, each once for each change in it",
    ),
    _Counter(
        Counted.LOOKUPS,
        "polydelta_lookups",
        "Tasks that nobody has put, by what came of looking for them",
        ("outcome",),
        [(outcome,) for outcome in _LOOKUPS],
    ),
)


class RegistryReadings(Collector):
    """Reads a registry's stats and tally as Prometheus' metrics."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        """Read them all."""
        for name, text, value in _gauges(self._registry.stats()):
            yield GaugeMetricFamily(name, text, value=value)
        unserved = sum(self._registry.tally.counts(Counted.UNSERVED).values())
        yield GaugeMetricFamily("polydelta_watch_unserved", _UNSERVED, value=unserved)
        for counter in _COUNTERS:
            yield counter.read(self._registry.tally)


def _gauges(stats: RegistryStats) -> list[tuple[str, str, float]]:
    return [
        ("polydelta_tasks", "Tasks that answer", stats.tasks),
        ("polydelta_task_versions", "Versions of these tasks", stats.versions),
        ("polydelta_blob_bytes", "Size of all deltas' files in the store", stats.blob_bytes),
        (
            "polydelta_registry_lag_seconds",
            "Time since changes of other servers were looked at",
            stats.lag,
        ),
        (
            "polydelta_registry_pending",
            "Tasks whose last change could not be taken over",
            stats.pending,
        ),
    ]
