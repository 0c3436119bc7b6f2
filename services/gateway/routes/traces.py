"""Kept traces: search and look, for operators; and the receiver that the services of a stack send their spans to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg
import orjson
from aiohttp import web
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # it comes without types
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from services.gateway.payloads.traces import TraceDetail, TracePage, TraceQuery, TraceSearch
from services.gateway.routes.cursors import decoded, encoded
from services.gateway.store import traces as store
from services.gateway.store.traces import END, Wanted
from services.gateway.traces.buffer import SpanBuffer
from shared.db.pool import Pool
from shared.errors import Rejected
from shared.http.problem import Problem
from shared.http.requests import read_body, read_query
from shared.http.responses import json_response
from shared.http.routes import MIB, Access, Route

TAG: Final = "Traces"
PATH: Final = "/admin/traces"
RECEIVER: Final = "/internal/otlp"
"""What the services take as their OTLP endpoint."""
PROTOBUF: Final = "application/x-protobuf"
SPANS: Final = 5_000
LINKING: Final = 100
_ID: Final = "{trace_id:[0-9a-f]{32}}"


class TraceRoutes:
    """The handlers, with what they need. Without a `buffer` no spans are kept here, and whoever asks is told so."""

    def __init__(self, pool: Pool, buffer: SpanBuffer | None) -> None:
        self._pool = pool
        self._buffer = buffer

    def routes(self) -> Sequence[Route]:
        return [
            Route(
                "GET",
                PATH,
                self.search,
                "Kept traces",
                TAG,
                query=TraceSearch,
                query_example={"status": "error", "service": "sender"},
                responses={200: TracePage, 404: Problem},
                access=Access.ADMIN,
                description="Newest first. Kept where `CHASQUI_GATEWAY__KEEP_SPANS` says how many spans, none longer than a week; "
                "404 where it says none. The page `/traces` shows them.",
            ),
            Route(
                "GET",
                f"{PATH}/{_ID}",
                self.get,
                "A trace with its spans",
                TAG,
                query=TraceQuery,
                responses={200: TraceDetail, 404: Problem},
                access=Access.ADMIN,
                description=f"{SPANS:,} spans at most, the earliest. What was recorded a moment ago takes a few seconds to come.",
            ),
            Route(
                "POST",
                f"{RECEIVER}/v1/traces",
                self.receive,
                "Take spans of another service",
                TAG,
                responses={200: None, 404: Problem},
                access=Access.SERVICE,
                accepts=(PROTOBUF,),
                produces=PROTOBUF,
                body_limit_bytes=16 * MIB,
                quiet=True,  # a span about spans would cause the next one
                documented=False,
            ),
        ]

    async def search(self, request: web.Request) -> web.StreamResponse:
        query = read_query(request, TraceSearch)
        self._kept()
        before = END if query.cursor is None else _key_of(query.cursor)
        wanted = Wanted(
            tenant_id=query.tenant_id,
            message_id=query.message_id,
            service=query.service,
            has_failed=None if query.status is None else query.status == "error",
            longer_than_us=None if query.min_duration_ms is None else round(query.min_duration_ms * 1_000),
            name=query.name,
            since=query.since,
            until=query.until,
            with_batches=query.batches,
        )
        rows = await store.search(self._pool, wanted, before=before, limit=query.limit + 1)
        page = rows[: query.limit]
        more = encoded(page[-1]["started_at"], page[-1]["trace_id"].hex()) if len(rows) > query.limit else None
        return json_response({"data": [_trace(row) for row in page], **({"next_cursor": more} if more else {})})

    async def get(self, request: web.Request) -> web.StreamResponse:
        message_id = read_query(request, TraceQuery).message_id
        self._kept()
        trace_id = bytes.fromhex(request.match_info["trace_id"])
        row = await store.find(self._pool, trace_id)
        spans = await store.spans_of(self._pool, trace_id, message_id, limit=SPANS + 1)
        if row is None or not spans:
            raise Rejected("trace.unknown", "No span of this trace is here: it was not recorded, or is too old.", 404)
        linking = await store.linking(self._pool, trace_id, limit=LINKING)
        start = min([row["started_at"], *(span["started_at"] for span in spans[:1])])
        return json_response(
            {
                "trace": _trace(row),
                "spans": [_span(span, start) for span in spans[:SPANS]],
                "is_cut": len(spans) > SPANS,
                "linked_from": [_linking(span) for span in linking],
            }
        )

    async def receive(self, request: web.Request) -> web.StreamResponse:
        """What there is no room for is lost, and the sender is not told: it would try again."""
        buffer = self._kept()
        data = await read_body(request, (PROTOBUF,))
        try:
            sent = ExportTraceServiceRequest.FromString(data)
        except DecodeError:
            raise Rejected("body.not_otlp", "The body is not an ExportTraceServiceRequest.", 400) from None
        buffer.receive(sent)
        return web.Response(body=b"", content_type=PROTOBUF)

    def _kept(self) -> SpanBuffer:
        if self._buffer is None:
            raise Rejected("traces.not_kept", "This gateway keeps no spans: CHASQUI_GATEWAY__KEEP_SPANS is 0.", 404)
        return self._buffer


def _trace(row: asyncpg.Record) -> Mapping[str, Any]:
    """A `TraceView`."""
    return {
        "trace_id": row["trace_id"].hex(),
        "name": row["name"],
        "service": row["service"],
        "has_root": row["has_root"],
        **({"tenant_id": row["tenant_id"]} if row["tenant_id"] else {}),
        "started_at": row["started_at"],
        "duration_ms": _ms(row["ended_at"] - row["started_at"]),
        "longest_span_ms": row["longest_us"] / 1_000,
        "services": row["services"],
        "spans": row["spans"],
        "failed": row["failed"],
    }


def _span(row: asyncpg.Record, start: datetime) -> Mapping[str, Any]:
    """A `SpanView`."""
    offset = _ms(row["started_at"] - start)
    return {
        "span_id": row["span_id"].hex(),
        **({"parent_id": row["parent_id"].hex()} if row["parent_id"] else {}),
        "service": row["service"],
        "name": row["name"],
        "kind": row["kind"],
        "offset_ms": offset,
        "duration_ms": row["duration_us"] / 1_000,
        "failed": row["failed"],
        "attributes": orjson.Fragment(row["attributes"]),
        "events": [
            {"name": name, "offset_ms": round(offset + since / 1_000, 3), "attributes": attributes}
            for name, since, attributes in orjson.loads(row["events"])
        ],
        "links": [
            {"trace_id": trace_id, "span_id": span_id, "attributes": attributes}
            for trace_id, span_id, attributes in orjson.loads(row["links"])
        ],
    }


def _linking(row: asyncpg.Record) -> Mapping[str, Any]:
    """A `LinkingSpan`."""
    return {
        "trace_id": row["trace_id"].hex(),
        "span_id": row["span_id"].hex(),
        "service": row["service"],
        "name": row["name"],
        "started_at": row["started_at"],
        "duration_ms": row["duration_us"] / 1_000,
        "failed": row["failed"],
    }


def _ms(span: timedelta) -> float:
    return span / timedelta(microseconds=1) / 1_000


def _key_of(cursor: str) -> store.Key:
    moment, trace_id = decoded(cursor, datetime, str)
    try:
        return moment, bytes.fromhex(trace_id)
    except ValueError:
        raise Rejected("cursor.invalid", "The cursor is not one that this list has given.", 400) from None
