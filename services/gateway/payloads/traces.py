"""Traces and their spans, as operators see them. Nothing here is anybody's: what a span may show is on a list."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field

from services.gateway.payloads.pages import PageQuery
from shared.http.bodies import Body
from shared.http.requests import Moment
from shared.personal import Model

Identifier = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")]
TraceId = Annotated[str, Field(pattern="^[0-9a-f]{32}$", examples=["0af7651916cd43dd8448eb211c80319c"])]
SpanId = Annotated[str, Field(pattern="^[0-9a-f]{16}$", examples=["b7ad6b7169203331"])]


class TraceSearch(PageQuery):
    """What is asked of spans, `service`, `status=error`, `min_duration_ms` and `name`, one and the same span must fulfil."""

    message_id: Identifier | None = Field(None, description="Only traces with a span of this message.")
    tenant_id: Identifier | None = None
    service: Identifier | None = Field(None, description="Only traces with a span of this service.")
    name: str | None = Field(None, min_length=1, max_length=120, description="Only traces with a span whose name holds this.")
    status: Literal["error", "ok"] | None = Field(
        None, description="error: a span of it failed; ok: none did, of those that are here by now."
    )
    min_duration_ms: float | None = Field(
        None, ge=0, le=1e9, allow_inf_nan=False, description="Only traces with a span that took so long."
    )
    since: Moment | None = Field(None, description="Only traces that began at this moment or later.")
    until: Moment | None = Field(None, description="Only traces that began at this moment or before.")
    batches: bool = Field(
        True,
        description="false leaves out traces of batches that did not fail: what was done for many messages at once has a trace of "
        "its own, and links to theirs.",
    )


class TraceQuery(Body):
    message_id: Identifier | None = Field(
        None, description="Only this message's spans, with those above and below them: a trace may be of thousands of messages."
    )


class TraceView(Model):
    """A trace, as far as its spans have come."""

    trace_id: TraceId
    name: str = Field(description="Of its root; of its earliest span where the root is not here.")
    service: str = Field(description="That span's.")
    has_root: bool
    tenant_id: str | None = None
    started_at: AwareDatetime
    duration_ms: float = Field(description="From the start of the first span to the end of the last.")
    longest_span_ms: float
    services: list[str]
    spans: int = Field(description="How many there are.")
    failed: int = Field(description="How many of them failed.")


class TracePage(Model):
    data: list[TraceView]
    next_cursor: str | None = None


class SpanEvent(Model):
    name: str
    offset_ms: float = Field(description="Since the start of the trace.")
    attributes: dict[str, Any]


class SpanLink(Model):
    """Another piece of work that has to do with this one, mostly of another trace."""

    trace_id: TraceId
    span_id: SpanId
    attributes: dict[str, Any]


class SpanView(Model):
    span_id: SpanId
    parent_id: SpanId | None = Field(
        None, description="What caused it; it may be of another platform, or not be kept any more."
    )
    service: str
    name: str
    kind: Literal["internal", "server", "client", "producer", "consumer"]
    offset_ms: float = Field(description="Since the start of the trace.")
    duration_ms: float
    failed: bool
    attributes: dict[str, Any]
    events: list[SpanEvent]
    links: list[SpanLink]


class LinkingSpan(Model):
    """A span of another trace that links to this one, such as a batch that this message was sent with."""

    trace_id: TraceId
    span_id: SpanId
    service: str
    name: str
    started_at: AwareDatetime
    duration_ms: float
    failed: bool


class TraceDetail(Model):
    trace: TraceView
    spans: list[SpanView] = Field(description="By their start.")
    is_cut: bool = Field(description="There are more spans than are shown.")
    linked_from: list[LinkingSpan]
