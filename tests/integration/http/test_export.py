"""Spans on their way to a collector."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from shared.config import TelemetrySettings
from shared.http.requests import read_body
from shared.http.routes import Access, Route
from shared.telemetry.tracing import FLUSH_SECONDS, Tracing
from tests.integration.http.serving import serving


async def test_spans_reach_the_collector_at_the_latest_on_close() -> None:
    received = ExportTraceServiceRequest()

    async def collect(request: web.Request) -> web.StreamResponse:
        received.MergeFromString(await read_body(request, ()))
        return web.Response()

    collector = Route("POST", "/v1/traces", collect, summary="x", tag="x", access=Access.PUBLIC, documented=False)
    async with serving(more=[collector]) as served:
        tracing = Tracing("sender", TelemetrySettings(otlp_endpoint=f"{served.url}/"))
        with tracing.span("deliver", kind="client", attributes={"attempt": 1, "body": "hello"}):
            pass
        await asyncio.to_thread(tracing.close)

    (resource,) = received.resource_spans
    assert {a.key: a.value.string_value for a in resource.resource.attributes}["service.name"] == "sender"
    (span,) = resource.scope_spans[0].spans
    assert span.name == "deliver"
    assert [a.key for a in span.attributes] == ["attempt"]


async def test_a_collector_that_hangs_does_not_hold_up_the_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        tracing = Tracing("sender", TelemetrySettings(otlp_endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}"))
        for _ in range(2_000):
            with tracing.span("deliver"):
                pass
        begun = time.monotonic()
        await asyncio.to_thread(tracing.close)

        assert time.monotonic() - begun < FLUSH_SECONDS + 2
    while any(thread.name.startswith("Otel") for thread in threading.enumerate()):  # what it had begun ends by itself
        await asyncio.sleep(0.01)
