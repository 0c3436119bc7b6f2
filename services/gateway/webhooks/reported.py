"""What the provider reports on messages of ours raises their states and is told, each report once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

import asyncpg

from services.gateway.domain.state import Change, State, first_of, told
from services.gateway.domain.status import Status
from services.gateway.domain.timeline import holds, name_of
from services.gateway.domain.update import Reported
from services.gateway.domain.webhook import Report, storable
from services.gateway.store import graph_ids, messages
from services.gateway.store.messages import Key
from shared.bus.outbox import Unit
from shared.events.catalogue import MessageConfirmed, MessageStatusChanged, RunReported
from shared.events.values import DeliveryStatus
from shared.ids import MessageId, NumberId, TenantId
from shared.telemetry.tracing import Tracing, is_sampled

REPORTED: Final = {status: Status(status.value) for status in DeliveryStatus}
DELIVERY: Final = {ours: theirs for theirs, ours in REPORTED.items()}
_SENT: Final = Status.SENT
_UNKNOWN: Final = Status.UNKNOWN
"""By these names at once, as in `state`."""
_PLAYED: Final = "played"

Name = tuple[TenantId, str, NumberId]
"""A message as a report names it: what is said of it through another number than its own is not believed."""
Origin = tuple[str, Status, datetime]
"""A report, by its message, status and time."""


async def tell_reports(
    unit: Unit,
    reports: Mapping[Name, Sequence[Report]],
    origins: Mapping[Origin, str],
    tracing: Tracing,
    watching: Collection[TenantId],
) -> list[Reported]:
    """Raise the states of our own messages; reports of others' are absorbed, repeated ones tell nothing new. Returns what those are
    to be told who watch.

    That a message is sent its sender tells: after its call, or, where it does not know what became of that, once it hears from here
    (or from `track`, whichever comes second) that the report is there.
    """
    if not reports:
        return []
    after: list[tuple[str, State]] = []
    facts: list[Reported] = []
    learned: list[graph_ids.Learned] = []
    for row in await messages.lock(unit.connection, {(tenant_id, message_id) for tenant_id, message_id, _ in reports}):
        key = row["tenant_id"], row["id"]
        of_message = reports.get((*key, row["number_id"]), ())
        changes = [change_of(report) for report in of_message]
        before = messages.state_of(row)
        state, new = told(before, changes)
        if state != before:
            after.append((row["place"], state))
            learned += graph_ids.newly_known(row, before, state)
        counted = set() if row["run_id"] is None else first_of(before.timeline, new)
        is_unknown = before.status is _UNKNOWN
        news = new if is_unknown else [change for change in new if change.status is not _SENT]
        for change in news:
            origin = origins.get((key[1], change.status, change.at)) if origins else None
            event = _status_changed(key, change, row["traceparent"], origin, tracing)
            unit.emit(event)
            if change in counted:
                unit.emit(_run_reported(event, row["run_id"]))
            if is_unknown and event.attempt is not None:
                unit.emit(_confirmed(event, event.attempt))
        if key[0] in watching:
            firsts = {change for change in first_of(before.timeline, news) if change.status is not Status.SENT}
            facts += _facts(row, before, of_message, news, firsts)
    await messages.write(unit.connection, after)
    await graph_ids.learn(unit.connection, learned)
    return facts


def change_of(report: Report) -> Change:
    detail = None if report.error_code is None else report.error_detail
    return Change(REPORTED[report.status], report.at, report.wamid, report.error_code, detail, None, False, report.attempt)


def _facts(
    row: asyncpg.Record, before: State, reports: Sequence[Report], news: Collection[Change], firsts: Collection[Change]
) -> list[Reported]:
    """Each report once, those of one state by their participants and the provider's own words. One whose state was told before is
    repeated, unless it says more than its state does. `firsts` are those of the changes that are news in our own shapes too: the
    first of its status, and that a message is sent its sender tells."""
    facts = []
    for report in {report.key: report for report in reversed(reports)}.values():
        change = change_of(report)
        says_more = report.provider_status == _PLAYED or report.participant is not None
        if change not in news and not says_more and holds(before.timeline, name_of(change.status, change.at)):
            continue
        facts.append(
            Reported(
                row["tenant_id"],
                row["number_id"],
                row["id"],
                change.status,
                change.at,
                change.wamid,
                change.code,
                change.detail,
                storable(report.raw),
                storable(report.contact),
                is_new=change in firsts,
            )
        )
    facts.reverse()
    return facts


def origins_of(reports: Iterable[Report], traceparent: str | None) -> dict[Origin, str]:
    """Of the reports of one payload, where the request that brought it is recorded."""
    if traceparent is None or not is_sampled(traceparent):
        return {}
    return {(one.message_id, REPORTED[one.status], one.at): traceparent for one in reports if one.message_id is not None}


def _status_changed(
    key: Key, change: Change, traceparent: str | None, origin: str | None, tracing: Tracing
) -> MessageStatusChanged:
    tenant_id, message_id = key
    if change.code is not None or is_sampled(traceparent):
        traceparent = _recorded(key, change, traceparent, origin, tracing)
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
        error_detail=change.detail,
    )


def _recorded(key: Key, change: Change, traceparent: str | None, origin: str | None, tracing: Tracing) -> str | None:
    """Where the report is recorded: in the message's own trace, as a span linked to the request; a failure of a message that nobody
    traces in a trace of its own."""
    tenant_id, message_id = key
    about = {"tenant_id": tenant_id, "message_id": message_id, "status": change.status.value, "attempt": change.attempt}
    if not is_sampled(traceparent):
        assert change.code is not None
        return tracing.failed("webhook status", change.code, message_id, seconds=0.0, kind="server", attributes=about)
    with tracing.span("webhook status", kind="server", traceparent=traceparent, attributes=about) as span:
        span.link(origin)
        if change.code is not None:
            span.fail(change.code)
        return span.traceparent


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
