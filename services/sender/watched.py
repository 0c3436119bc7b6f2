"""What the spans of an attempt say."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from services.sender.domain.outcome import Outcome, Retry, Sent
from services.sender.provider.call import Judge
from services.sender.provider.interface import Request
from services.sender.store.attempts import Settled
from shared.telemetry.tracing import Span

if TYPE_CHECKING:
    from services.sender.caller import Job


def about(request: Request, job: Job) -> Mapping[str, object]:
    """Of the call, as OpenTelemetry's conventions for HTTP clients name it. Not its URL: a number's id stands there."""
    return {
        "message_id": job.event.message_id,
        "tenant_id": job.event.tenant_id,
        "attempt": job.event.attempt,
        "provider": job.number.provider.value,
        "http.request.method": "POST",
        "url.scheme": request.url.scheme,
        "server.address": request.url.host,
        "server.port": request.url.port,
    }


def watched(judge: Judge, span: Span) -> Judge:
    """The same judge; the span learns what it was asked."""

    def judged(status: int, body: bytes, retry_after: str | None, /) -> Outcome:
        span.set(**{"http.response.status_code": status})
        return judge(status, body, retry_after)

    return judged


def tell_end(span: Span, settled: Settled, now: datetime) -> None:
    """How the attempt ended, and when there will be another one."""
    outcome = settled.outcome
    span.set(outcome=type(outcome).__name__.lower())
    if isinstance(outcome, Sent):
        return
    if settled.retry_at is not None:
        span.event("put_back", code=outcome.code, retry_ms=max(0, round((settled.retry_at - now) / timedelta(milliseconds=1))))
    if settled.gate is not None:
        span.event("gate.closed", code=outcome.code)
    if isinstance(outcome, Retry) and not outcome.counted and not outcome.sick:
        span.set(code=outcome.code)  # it waits for its turn: nothing has failed
    else:
        span.fail(outcome.code)
