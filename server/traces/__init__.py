"""Traces: what became of each request, as OpenTelemetry's spans; off unless asked for."""
