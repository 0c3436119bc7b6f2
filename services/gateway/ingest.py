"""The second step of a webhook: payloads that are durable (`intake`) are read and told as events.

A payload that cannot be read whole is set aside, its readable parts are told all the same. One that makes the reader fail is set
aside too, and costs itself only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import structlog

from services.gateway.consent import hear_messages, hear_preferences
from services.gateway.domain import webhook
from services.gateway.domain.payload import parsed
from services.gateway.domain.state import Change, State, first_of, told
from services.gateway.domain.status import Status
from services.gateway.domain.webhook import Inbound, Reading, Report
from services.gateway.numbers import NumberDirectory, WebhookSource
from services.gateway.store import messages, webhooks
from services.gateway.store.messages import Key
from services.gateway.templates import take_notices
from shared.bus.outbox import Outbox, Unit
from shared.events.catalogue import MessageConfirmed, MessageReceived, MessageStatusChanged, RunReported
from shared.events.values import DeliveryStatus
from shared.ids import MessageId, NumberId, TenantId
from shared.telemetry.tracing import Tracing, is_sampled
from shared.unavailable import is_unavailable

log = structlog.get_logger(__name__)

READ_LIMIT: Final = 256
READ_BYTES: Final = 512 * 1024
"""What is read in one transaction, if so much waits: the more of a message's reports come together, the fewer rows are written. A
report is about 400 bytes; a payload may hold a thousand."""
BUSY_BYTES: Final = 32 * 1024
GATHER_SECONDS: Final = 0.1
"""After a read of so many bytes the next reports have so long to come together; after a smaller one they are read as they come."""
REPORTED: Final = {status: Status(status.value) for status in DeliveryStatus}
DELIVERY: Final = {ours: theirs for theirs, ours in REPORTED.items()}

Name = tuple[TenantId, str, NumberId]
"""A message as a report names it: what is said of it through another number than its own is not believed."""


async def read_waiting(outbox: Outbox, numbers: NumberDirectory, tracing: Tracing, *, limit: int = READ_LIMIT) -> bool:
    """The second step, for the oldest payloads; True where there may be more.

    Where one of them makes it fail they are read one by one, and that one is set aside: it would fail again for ever.
    """
    ids: list[int] = []
    try:
        async with outbox.transaction() as unit:
            rows = await webhooks.claim(unit.connection, limit=limit, limit_bytes=READ_BYTES)
            ids = [row.id for row in rows]
            await _read(unit, rows, numbers, tracing)
    except Exception as error:
        if not ids or is_unavailable(error):
            raise
        if limit == 1:
            log.error("webhook.unreadable", webhook_id=ids[0], exc_info=error)
            async with outbox.transaction() as unit:
                await webhooks.quarantine(unit.connection, {ids[0]: type(error).__name__})
        else:
            for _ in ids:
                await read_waiting(outbox, numbers, tracing, limit=1)
        return True
    size = sum(len(row.body) for row in rows)
    if len(rows) == limit or size >= READ_BYTES:
        return True
    if size >= BUSY_BYTES:
        await asyncio.sleep(GATHER_SECONDS)
    return False


async def _read(unit: Unit, rows: Sequence[webhooks.Waiting], numbers: NumberDirectory, tracing: Tracing) -> None:
    if not rows:
        return
    readings = {row.id: webhook.read(parsed(row.body)) for row in rows}
    sources = await numbers.sources(set[str]().union(*(reading.phone_number_ids for reading in readings.values())))
    changes: dict[Name, list[Change]] = {}
    inbound: list[tuple[WebhookSource, Inbound, str | None]] = []
    own: dict[str, set[str]] = {row.tenant_id: set() for row in rows}
    for phone_number_id, source in sources.items():
        own.setdefault(source.tenant_id, set()).add(phone_number_id)
    for row in rows:
        reading = readings[row.id]
        # A number that nobody had when the payload was signed may be another tenant's by now.
        reading.keep_only(own[row.tenant_id])
        for report in reading.reports:
            if report.message_id is not None:
                name = row.tenant_id, report.message_id, sources[report.phone_number_id].number_id
                changes.setdefault(name, []).append(_change(report))
        inbound += [(sources[message.phone_number_id], message, row.traceparent) for message in reading.inbound]
    await _tell_reports(unit, changes, tracing)
    new = await _tell_inbound(unit, inbound)
    switches = [
        (sources[switch.phone_number_id].tenant_id, switch) for reading in readings.values() for switch in reading.preferences
    ]
    if new:
        await hear_messages(unit, new, datetime.now(UTC))
    if switches:
        await hear_preferences(unit, switches, datetime.now(UTC))
    if notices := [(row.tenant_id, notice) for row in rows for notice in readings[row.id].templates]:
        await take_notices(unit, notices, datetime.now(UTC))
    await _put_away(unit, readings)


def _change(report: Report) -> Change:
    return Change(REPORTED[report.status], report.at, report.wamid, report.error_code, attempt=report.attempt)


async def _tell_reports(unit: Unit, changes: Mapping[Name, Sequence[Change]], tracing: Tracing) -> None:
    """Raise the states of our own messages; reports of others' are absorbed, repeated ones tell nothing new.

    That a message is sent its sender tells: after its call, or, where it does not know what became of that, once it hears from here
    (or from `track`, whichever comes second) that the report is there.
    """
    if not changes:
        return
    after: list[tuple[Key, State]] = []
    for row in await messages.lock(unit.connection, {(tenant_id, message_id) for tenant_id, message_id, _ in changes}):
        key = row["tenant_id"], row["id"]
        before = messages.state_of(row)
        state, new = told(before, changes.get((*key, row["number_id"]), ()))
        if state != before:
            after.append((key, state))
        counted = set() if row["run_id"] is None else first_of(before.timeline, new)
        for change in new:
            if change.status is Status.SENT and before.status is not Status.UNKNOWN:
                continue  # the sender tells that, in `message.sent`
            event = _status_changed(key, change, row["traceparent"], tracing)
            unit.emit(event)
            if change in counted:
                unit.emit(_run_reported(event, row["run_id"]))
            if before.status is Status.UNKNOWN and event.attempt is not None:
                unit.emit(_confirmed(event, event.attempt))
    await messages.write(unit.connection, after)


def _status_changed(key: Key, change: Change, traceparent: str | None, tracing: Tracing) -> MessageStatusChanged:
    """The event, in the message's own trace: where that is recorded, the webhook is one span of it."""
    tenant_id, message_id = key
    if is_sampled(traceparent):
        with tracing.span("webhook status", kind="server", traceparent=traceparent) as span:
            span.set(message_id=message_id, status=change.status.value)
            traceparent = span.traceparent
    assert change.wamid is not None
    return MessageStatusChanged(
        tenant_id=tenant_id,
        traceparent=traceparent,
        message_id=MessageId(message_id),
        attempt=change.attempt,
        wamid=change.wamid,
        status=DELIVERY[change.status],
        status_at=change.at,
        error_code=change.code,
    )


def _run_reported(event: MessageStatusChanged, run_id: str) -> RunReported:
    return RunReported(
        tenant_id=event.tenant_id,
        traceparent=event.traceparent,
        run_id=run_id,
        message_id=event.message_id,
        status=event.status,
        status_at=event.status_at,
    )


def _confirmed(event: MessageStatusChanged, attempt: int) -> MessageConfirmed:
    return MessageConfirmed(
        tenant_id=event.tenant_id,
        traceparent=event.traceparent,
        message_id=event.message_id,
        attempt=attempt,
        wamid=event.wamid,
    )


async def _tell_inbound(
    unit: Unit, inbound: Sequence[tuple[WebhookSource, Inbound, str | None]]
) -> list[tuple[TenantId, Inbound]]:
    """Each inbound message once, however often the provider brings it, in the trace of the payload that brought it first. Returns
    those that are new."""
    first: dict[tuple[str, str], tuple[WebhookSource, Inbound, str | None]] = {}
    for source, message, traceparent in inbound:
        first.setdefault((source.number_id, message.wamid), (source, message, traceparent))
    if not first:
        return []
    new = sorted(await webhooks.new_inbound(unit.connection, list(first)))
    for key in new:
        source, message, traceparent = first[key]
        unit.emit(
            MessageReceived(
                tenant_id=source.tenant_id,
                traceparent=traceparent,
                number_id=source.number_id,
                wamid=message.wamid,
                sender=message.sender,
                sender_name=message.sender_name,
                content=message.content,
                received_at=message.at,
            )
        )
    return [(source.tenant_id, message) for source, message, _ in (first[key] for key in new)]


async def _put_away(unit: Unit, readings: dict[int, Reading]) -> None:
    """Delete what was understood whole, set the rest aside."""
    partly = {i: f"{r.not_understood} parts not understood" for i, r in readings.items() if r.not_understood}
    if partly:
        log.warning("webhook.quarantined", payloads=len(partly))
        await webhooks.quarantine(unit.connection, partly)
    await webhooks.delete(unit.connection, [i for i in readings if i not in partly])
