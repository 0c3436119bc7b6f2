"""An OTLP collector within the test: what it was sent, as spans; well, slow, refusing or away as the test wants it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Encoded
from opentelemetry.proto.trace.v1.trace_pb2 import Status

KINDS: Final = {number: name.removeprefix("SPAN_KIND_").lower() for name, number in Encoded.SpanKind.items()}


@dataclass(frozen=True, slots=True)
class Seen:
    """A span as it arrived. Ids are hex, `parent_id` empty for a root; `links` are (trace, span)."""

    service: str
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    started_ns: int
    ended_ns: int
    attributes: dict[str, str | int | float | bool]
    events: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    is_failed: bool
    resource: dict[str, str | int | float | bool]


@dataclass(slots=True)
class Collector:
    """`answer` decides on each request; by default it is taken."""

    url: str = ""
    spans: list[Seen] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    requests: int = 0
    status: Callable[[int], int] = lambda _: 200
    """By the number of the request, from 1."""
    released: asyncio.Event = field(default_factory=asyncio.Event)
    """Answers wait for it."""

    def of_trace(self, trace_id: str) -> list[Seen]:
        return [span for span in self.spans if span.trace_id == trace_id]

    async def take(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.requests += 1
        self.headers.append(request.headers)
        await self.released.wait()
        status = self.status(self.requests)
        if status == 200:
            self.spans += seen(ExportTraceServiceRequest.FromString(body))
        return web.Response(status=status, headers={"Retry-After": "0"})


@asynccontextmanager
async def collecting(*, is_slow: bool = False, port: int = 0) -> AsyncIterator[Collector]:
    """Listening. Where it `is_slow` it answers once its `released` is set."""
    collector = Collector()
    if not is_slow:
        collector.released.set()
    app = web.Application(client_max_size=64 * 1_048_576)
    app.router.add_post("/v1/traces", collector.take)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    host, listening = runner.addresses[0][:2]
    collector.url = f"http://{host}:{listening}"
    try:
        yield collector
    finally:
        collector.released.set()
        await runner.cleanup()


def seen(request: ExportTraceServiceRequest) -> list[Seen]:
    return [
        _seen(span, _attributes(of_resource.resource.attributes))
        for of_resource in request.resource_spans
        for of_scope in of_resource.scope_spans
        for span in of_scope.spans
    ]


def _seen(span: Encoded, resource: dict[str, str | int | float | bool]) -> Seen:
    return Seen(
        service=str(resource["service.name"]),
        name=span.name,
        kind=KINDS[span.kind],
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        started_ns=span.start_time_unix_nano,
        ended_ns=span.end_time_unix_nano,
        attributes=_attributes(span.attributes),
        events=tuple(event.name for event in span.events),
        links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        is_failed=span.status.code == Status.StatusCode.STATUS_CODE_ERROR,
        resource=resource,
    )


def _attributes(pairs: Sequence[KeyValue]) -> dict[str, str | int | float | bool]:
    return {pair.key: getattr(pair.value, str(pair.value.WhichOneof("value"))) for pair in pairs}


def tree_of(spans: Sequence[Seen]) -> str:
    """The spans, each under what caused it."""
    known = {span.span_id for span in spans}
    lines: list[str] = []

    def show(parent: str, depth: int) -> None:
        for span in sorted(spans, key=lambda span: span.started_ns):
            above = span.parent_id if span.parent_id in known else ""
            if above == parent:
                lost = "" if span.parent_id == above else f"  (hangs on {span.parent_id}, not here)"
                lines.append(f"{'  ' * depth}{span.service}: {span.name}{lost}")
                show(span.span_id, depth + 1)

    show("", 0)
    return "\n".join(lines)
