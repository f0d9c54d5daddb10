"""What versions made of their shares of a task's traffic, as Prometheus' metrics."""

from collections.abc import Iterator
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.metrics_core import SummaryMetricFamily

from server.engine.tally import BOUNDS, Tally, Times

_LABELS = ["task", "version"]


def version_metrics(tally: Tally) -> Iterator[Metric]:
    """One series for each version that the tally knows, by its task and its number."""
    requests = CounterMetricFamily(
        "polydelta_version_requests", "Requests by what came of them", labels=[*_LABELS, "outcome"]
    )
    shadows = CounterMetricFamily(
        "polydelta_shadow_requests",
        "Requests answered unseen, by how the answers compare",
        labels=[*_LABELS, "outcome"],
    )
    likeness = SummaryMetricFamily(
        "polydelta_shadow_agreement", "How like answers are that were compared", labels=_LABELS
    )
    steps = CounterMetricFamily(
        "polydelta_version_steps_back", "Shares taken back for errors", labels=_LABELS
    )
    first = HistogramMetricFamily(
        "polydelta_version_time_to_first_token_seconds", "Time to first token", labels=_LABELS
    )
    whole = HistogramMetricFamily(
        "polydelta_version_latency_seconds", "Time from request to end", labels=_LABELS
    )
    for ref, counts in tally.all().items():
        labels = [ref.task, f"{counts.number}"]
        requests.add_metric([*labels, "answered"], counts.answered)
        requests.add_metric([*labels, "failed"], counts.failed)
        shadows.add_metric([*labels, "equal"], counts.equal)
        shadows.add_metric([*labels, "different"], counts.compared - counts.equal)
        shadows.add_metric([*labels, "failed"], counts.missed)
        shadows.add_metric([*labels, "dropped"], counts.dropped)
        likeness.add_metric(labels, counts.compared, counts.likeness)
        steps.add_metric(labels, counts.stepped_back)
        _add(first, labels, counts.first)
        _add(whole, labels, counts.whole)
    yield from (requests, shadows, likeness, steps, first, whole)


def _add(family: HistogramMetricFamily, labels: list[str], times: Times) -> None:
    names = [*map(str, BOUNDS), "+Inf"]
    buckets = list(zip(names, accumulate(times.buckets), strict=True))
    family.add_metric(labels, buckets, times.total)
