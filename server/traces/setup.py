"""Setup: whether traces are written, and where to, by OpenTelemetry's own OTEL_… variables."""

import logging
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from opentelemetry import trace

from server.engine.observer import Observer
from server.engine.observers import Observers
from server.traces.spans import Spans

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

_log = logging.getLogger(__name__)

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_EXTRA = "install it with: pip install 'polydelta[otel]'"


def configure(environ: Mapping[str, str]) -> None:
    """Send traces where the variables say; what cannot be is logged and does no harm.

    Samplers, service names, headers and batches are what the SDK makes of its variables.
    """
    name = _exporter_name(environ)
    if name is None:
        return
    try:
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        _log.warning("No traces are written: OpenTelemetry's SDK is absent; %s.", _EXTRA)
        return
    exporter = _exporter(name)
    if exporter is None:
        _log.warning("No traces are written: there is no exporter '%s'; %s.", name, _EXTRA)
        return
    own = {} if environ.get("OTEL_SERVICE_NAME") else {SERVICE_NAME: "polydelta"}
    provider = TracerProvider(resource=Resource.create(own))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)


def traced(observer: Observer) -> Observer:
    """An observer that also writes traces, if somebody takes them."""
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return observer
    return Observers(observer, Spans(trace.get_tracer("polydelta")))


def _exporter_name(environ: Mapping[str, str]) -> str | None:
    """The exporter's name among the SDK's entry points, if traces are wanted."""
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    asked = "otlp" if any(environ.get(name) for name in _ENDPOINTS) else "none"
    name = environ.get("OTEL_TRACES_EXPORTER") or asked
    if name != "otlp":
        return None if name == "none" else name
    protocol = environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environ.get(
        "OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"
    )
    return "otlp_proto_grpc" if protocol == "grpc" else "otlp_proto_http"


def _exporter(name: str) -> "SpanExporter | None":
    for found in entry_points(group="opentelemetry_traces_exporter", name=name):
        return found.load()()
    return None
