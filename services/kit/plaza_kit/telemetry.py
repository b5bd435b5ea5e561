"""Traces, metrics and logs: OpenTelemetry spans across HTTP → gRPC → job, Prometheus, JSON logs with trace ids.

Without an exporter nothing is sent and nothing is slowed: the OpenTelemetry API's no-op tracer still carries the
W3C trace context on, so that logs of one request share a trace id.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog
from opentelemetry import context, propagate, trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from prometheus_client import Counter, Gauge, Histogram, start_http_server

RPC_SECONDS = Histogram(
    "plaza_rpc_server_seconds",
    "Time a gRPC method took, in seconds",
    ["method", "code"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 10, 60),
)
HTTP_SECONDS = Histogram(
    "plaza_http_server_seconds",
    "Time an HTTP request took until its body was sent, in seconds",
    ["route", "method", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 10, 60),
)
EVENTS_DELIVERED = Counter("plaza_outbox_delivered_total", "Events handed to a sink", ["sink"])
EVENTS_FAILED = Counter("plaza_outbox_failed_total", "Failed attempts to hand events to a sink", ["sink"])
CERTIFICATE_ENDS = Gauge(
    "plaza_certificate_ends_timestamp_seconds", "When the certificate in use between pods ends, since 1970"
)
LEAVERS_HEARD = Gauge(
    "plaza_leavers_heard_timestamp_seconds",
    "When the issuer last said whose accounts are closed, since 1970; 0 where nobody asks it",
)


def configure(service: str, *, log_level: str = "INFO", otlp_endpoint: str = "", metrics: str = "") -> None:
    """Set up logs, and traces and metrics where an address is given (`host:port` for `metrics`)."""
    _configure_logs(service, log_level)
    if otlp_endpoint:
        # Imported here: the exporter costs 60 ms and 10 MB that a process without a collector need not pay.
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

        provider = TracerProvider(resource=Resource.create({"service.name": f"plaza-{service}"}))
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=otlp_endpoint)))
        trace.set_tracer_provider(provider)
    if metrics:
        host, _, port = metrics.rpartition(":")
        start_http_server(int(port), addr=host or "127.0.0.1")


def _configure_logs(service: str, level: str) -> None:
    def stamp(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["service"] = service
        if trace_id := current_trace_id():
            event["trace_id"] = trace_id
        return event

    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        stamp,
    ]
    render: list[structlog.typing.Processor] = [
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(ensure_ascii=False),
    ]
    structlog.configure(
        processors=[*processors, *render],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )
    handler = logging.StreamHandler(sys.stderr)
    formatter = structlog.stdlib.ProcessorFormatter(
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        foreign_pre_chain=processors,
    )
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for noisy in ("httpx", "httpcore", "procrastinate", "alembic", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def log(name: str) -> structlog.typing.FilteringBoundLogger:
    """A logger; key-value pairs become members of the JSON line."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(component=name)
    return logger


def tracer() -> trace.Tracer:
    """The process's tracer; a no-op without an exporter."""
    return trace.get_tracer("plaza")


def extract(carrier: Mapping[str, str]) -> context.Context:
    """The caller's trace context from headers or metadata (W3C `traceparent`)."""
    return propagate.extract(carrier)


def inject() -> dict[str, str]:
    """Headers or metadata that carry the current trace context on."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier


def current_trace_id() -> str:
    """Hexadecimal id of the current trace; empty when there is none."""
    span = trace.get_current_span().get_span_context()
    return f"{span.trace_id:032x}" if span.is_valid else ""
