"""Spans: one for each request that was taken, with its queue, load, prefill and decode within."""

import time
from collections import OrderedDict

from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from deltas.delta import DeltaRef
from server.engine.observer import Silent
from server.engine.timeline import Timeline

_LOADS = 256
"""Loads that are remembered until those who waited for them have ended."""

Attributes = dict[str, str | int | tuple[str, ...]]


class Spans(Silent):
    """Writes a request's spans when it has ended, under the trace that its caller named.

    Attributes are those of OpenTelemetry's conventions for generative AI where there are any.
    """

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._propagator = TraceContextTextMapPropagator()
        self._loads: OrderedDict[DeltaRef, tuple[float, float]] = OrderedDict()

    def loaded(self, ref: DeltaRef, began: float, ended: float) -> None:
        """Remember when a delta was read."""
        self._loads[ref] = began, ended
        self._loads.move_to_end(ref)
        if len(self._loads) > _LOADS:
            self._loads.popitem(last=False)

    def ended(self, timeline: Timeline) -> None:
        """Write a request's spans."""
        parent = self._propagator.extract(timeline.trace)
        clock = _Clock()
        span = self._tracer.start_span(
            "infer",
            parent,
            SpanKind.SERVER,
            _attributes(timeline),
            start_time=clock.at(timeline.submitted),
        )
        if timeline.reason == "error":
            span.set_status(Status(StatusCode.ERROR))
        within = set_span_in_context(span, parent)
        for name, began, ended in self._parts(timeline):
            self._write(name, within, clock.at(began), clock.at(ended))
        span.end(clock.at(timeline.ended))

    def _parts(self, timeline: Timeline) -> list[tuple[str, float, float]]:
        started = timeline.ended if timeline.started is None else timeline.started
        parts = [("queue", timeline.submitted, started)]
        began, ended = self._loads.get(timeline.ref, (0.0, 0.0))
        # Any other load was for somebody else.
        if timeline.submitted < ended <= started:
            parts.append(("load", max(began, timeline.submitted), ended))
        if timeline.started is not None:
            first = timeline.ended if timeline.first is None else timeline.first
            parts.append(("prefill", started, first))
        if timeline.first is not None:
            parts.append(("decode", timeline.first, timeline.ended))
        return parts

    def _write(self, name: str, context: Context, began: int, ended: int) -> None:
        self._tracer.start_span(name, context, start_time=began).end(ended)


class _Clock:
    """Tells the time of day, in nanoseconds, of moments of the monotonic clock."""

    def __init__(self) -> None:
        self._offset = time.time_ns() - time.monotonic_ns()

    def at(self, moment: float) -> int:
        return int(moment * 1e9) + self._offset


def _attributes(timeline: Timeline) -> Attributes:
    return {
        "gen_ai.request.model": timeline.ref.task,
        "gen_ai.response.id": timeline.request,
        "gen_ai.response.finish_reasons": (timeline.reason,),
        "gen_ai.usage.input_tokens": timeline.prompt_tokens,
        "gen_ai.usage.output_tokens": timeline.tokens,
        "gen_ai.usage.cache_read.input_tokens": timeline.cached_tokens,
        "polydelta.version": timeline.ref.version,
    }
