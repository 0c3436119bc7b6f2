"""Let messages go: those that are due and whose number has room, most urgent first."""

from __future__ import annotations

import time
from typing import Final

from services.scheduler.conclude import End, conclude
from services.scheduler.domain.settlement import UNCONFIRMED
from services.scheduler.metrics import note_lateness
from services.scheduler.set_aside import set_aside
from services.scheduler.store import holds
from shared.bus.outbox import Outbox
from shared.events.catalogue import MessageExpired, MessageReleased
from shared.ids import MessageId, TenantId
from shared.telemetry.metrics import Metrics
from shared.telemetry.tracing import Tracing

CLAIM_NUMBERS: Final = 32
CLAIM_PER_NUMBER: Final = 256
"""Together they bound a round, so that it ends well within a statement's time however much is due."""
EXPIRE_LIMIT: Final = 1_000
REPEAT_LIMIT: Final = 1_000
FORGET_LIMIT: Final = 1_000
SILENT_SECONDS: Final = 90.0
"""Longer than a sender's lease, so that a message told again is one whose release or outcome was lost on the way."""
LONGEST_SILENCE_SECONDS: Final = 3_600.0
"""Each telling waits twice as long as the one before, up to this: a sender that is away must not find its queue full of repeats."""
REPORTS_END_DAYS: Final = 8
EXPIRED: Final = "message.expired"


async def release_due(outbox: Outbox, tracing: Tracing | None = None, metrics: Metrics | None = None) -> int:
    """Release one round, and set aside what has an obstacle; returns how many: where there were some, there may be more."""
    began = time.time()
    async with outbox.transaction() as unit:
        claimed = await holds.claim_due(
            unit.connection,
            limit_numbers=CLAIM_NUMBERS,
            limit_per_number=CLAIM_PER_NUMBER,
            silent_seconds=SILENT_SECONDS,
        )
        unit.emit(*(_traced(event, tracing, began) for event in claimed.released))
        if claimed.stopped:
            await set_aside(unit, claimed.stopped)
    if metrics is not None:
        note_lateness(metrics, claimed.released)
    return len(claimed.released) + len(claimed.stopped)


def _traced(event: MessageReleased, tracing: Tracing | None, began: float) -> MessageReleased:
    """The same; where its trace is recorded, the release is a span of it."""
    if event.traceparent is None or tracing is None:
        return event
    due_at = event.first_due_at or event.occurred_at
    attributes = {
        "messaging.operation.type": "create",
        "messaging.operation.name": "release",
        "tenant_id": event.tenant_id,
        "message_id": event.message_id,
        "number_id": event.number_id,
        "attempt": event.attempt,
        "tier": event.tier.name.lower(),
        "lateness_ms": max(0, round((event.occurred_at - due_at).total_seconds() * 1000)) if event.attempt == 1 else None,
    }
    with tracing.follow("release", event.traceparent, kind="producer", attributes=attributes) as span:
        span.began(time.time() - began)  # with the claim of all
    return event.model_copy(update={"traceparent": span.traceparent})


async def repeat_silent(outbox: Outbox) -> bool:
    """Tell again what was released and never answered. The sender sends an attempt once however often it is told."""
    async with outbox.transaction() as unit:
        silent = await holds.repeat_silent(
            unit.connection, silent_seconds=SILENT_SECONDS, longest_seconds=LONGEST_SILENCE_SECONDS, limit=REPEAT_LIMIT
        )
        unit.emit(*silent)
    return len(silent) == REPEAT_LIMIT


async def expire(outbox: Outbox) -> bool:
    """Take out what was not released in its time to live."""
    async with outbox.transaction() as unit:
        rows = await holds.expire(unit.connection, limit=EXPIRE_LIMIT)
        unit.emit(
            *(
                MessageExpired(
                    tenant_id=TenantId(row["tenant_id"]),
                    traceparent=row["traceparent"],
                    message_id=MessageId(row["message_id"]),
                )
                for row in rows
            )
        )
        await conclude(unit, [End(row["run_id"], row["message_id"], "expired", EXPIRED) for row in rows if row["run_id"]])
    return len(rows) == EXPIRE_LIMIT


async def forget_unsettled(outbox: Outbox) -> bool:
    """Drop holds whose outcome can no longer be learned; True where there may be more."""
    async with outbox.transaction() as unit:
        rows = await holds.forget_unsettled(unit.connection, days=REPORTS_END_DAYS, limit=FORGET_LIMIT)
        await conclude(unit, [End(row["run_id"], row["message_id"], "unknown", UNCONFIRMED) for row in rows if row["run_id"]])
    return len(rows) == FORGET_LIMIT
