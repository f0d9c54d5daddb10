"""Traces, as OpenTelemetry's own SDK takes them."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from server.engine.observer import SILENT
from server.engine.observers import Observers
from server.traces.setup import configure, traced
from server.traces.spans import Spans
from tests import samples
from tests.server.api.live import Live, serving

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"

ONE_SPAN = """
import os
from deltas.delta import DeltaRef
from server.engine.observer import SILENT
from server.engine.timeline import Timeline
from server.traces.setup import configure, traced
configure(os.environ)
timeline = Timeline("1", DeltaRef("spam", "0" * 64), {}, 1, 2, 3, 4, "stop", 5, 0, 6)
traced(SILENT).ended(timeline)
"""


@pytest.fixture(scope="module")
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture(scope="module")
def live(
    decoder: Path, exporter: InMemorySpanExporter, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Live]:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    settings = {"max_deltas": 1, "host_cache_gb": 0, "drain_timeout": 0}
    with serving(decoder, tmp_path_factory.mktemp("traced"), **settings) as server:
        tracer = provider.get_tracer("tests")
        server.engine.observer = Observers(server.engine.observer, Spans(tracer))
        server.add("text", samples.generator("lora", server.spec))
        server.add("spam", samples.classifier(server.spec, ("ham", "spam")))
        yield server
    provider.shutdown()


@pytest.fixture(autouse=True)
def empty(exporter: InMemorySpanExporter) -> None:
    exporter.clear()


def spans(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in exporter.get_finished_spans()}


def test_a_request_is_a_span_with_its_parts(live: Live, exporter: InMemorySpanExporter):
    answer = live.infer("text", "hello", max_tokens=4, ignore_eos=True)
    found = spans(exporter)
    whole = found.pop("infer")
    assert list(found) == ["queue", "load", "prefill", "decode"] or "load" not in found
    attributes = dict(whole.attributes or {})
    assert attributes["gen_ai.request.model"] == "text"
    assert attributes["gen_ai.usage.input_tokens"] == answer["usage"]["prompt_tokens"]
    assert attributes["gen_ai.usage.output_tokens"] == 4
    assert attributes["gen_ai.response.finish_reasons"] == ("length",)
    assert attributes["polydelta.version"] == answer["version"]
    for part in found.values():
        assert part.parent is not None
        assert part.parent.span_id == whole.context.span_id
    assert whole.start_time == found["queue"].start_time
    assert found["queue"].end_time == found["prefill"].start_time
    assert found["prefill"].end_time == found["decode"].start_time
    assert found["decode"].end_time == whole.end_time


def test_a_delta_that_has_to_be_read_is_seen(live: Live, exporter: InMemorySpanExporter):
    # One slot and no room elsewhere: whichever was there is pushed out by the other.
    live.infer("spam", "hello")
    exporter.clear()
    live.infer("text", "hello", max_tokens=1)
    found = spans(exporter)
    load, queue = found["load"], found["queue"]
    assert queue.start_time is not None
    assert load.start_time is not None
    assert queue.start_time <= load.start_time
    assert (load.end_time or 0) <= (queue.end_time or 0)
    exporter.clear()
    live.infer("text", "hello", max_tokens=1)
    assert "load" not in spans(exporter)


def test_a_head_decodes_nothing(live: Live, exporter: InMemorySpanExporter):
    live.infer("spam", "hello")
    found = spans(exporter)
    assert "decode" not in found
    assert found["prefill"].end_time == found["infer"].end_time


def test_the_callers_trace_goes_on(live: Live, exporter: InMemorySpanExporter):
    headers = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
    body = {"task": "base", "input": ["one", "two"], "parameters": {"max_tokens": 1}}
    assert live.http.post("/v1/infer", json=body, headers=headers).status_code == 200
    finished = exporter.get_finished_spans()
    assert {f"{span.context.trace_id:032x}" for span in finished} == {TRACE}
    wholes = [span for span in finished if span.name == "infer"]
    assert len(wholes) == 2
    assert {f"{span.parent.span_id:016x}" for span in wholes if span.parent} == {CALLER}
    exporter.clear()
    live.http.post("/v1/infer", json=body, headers={"traceparent": "nonsense"})
    assert spans(exporter)["infer"].parent is None


def test_nothing_is_written_unless_asked_for():
    configure({"OTEL_SERVICE_NAME": "mine"})
    configure({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4318", "OTEL_SDK_DISABLED": "true"})
    configure({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4318", "OTEL_TRACES_EXPORTER": "none"})
    assert traced(SILENT) is SILENT


def test_an_exporter_that_is_not_there(caplog: pytest.LogCaptureFixture):
    configure({"OTEL_TRACES_EXPORTER": "pigeon"})
    assert "no exporter 'pigeon'" in caplog.text
    assert "polydelta[otel]" in caplog.text
    assert traced(SILENT) is SILENT


def test_without_the_sdk(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    configure({"OTEL_TRACES_EXPORTER": "console"})
    assert "polydelta[otel]" in caplog.text


def test_the_variables_say_where_to():
    variables = {"OTEL_TRACES_EXPORTER": "console", "OTEL_RESOURCE_ATTRIBUTES": "team=a"}
    ended = subprocess.run(
        [sys.executable, "-c", ONE_SPAN],
        env={"PYTHONPATH": ":".join(sys.path), **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    assert '"name": "decode"' in ended.stdout
    assert json.dumps("service.name") + ": " + json.dumps("polydelta") in ended.stdout
    assert '"team": "a"' in ended.stdout
