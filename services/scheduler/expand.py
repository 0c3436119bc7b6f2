"""Who the recipients of a run are: pages of its audience, each written once, whoever tells it how often and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import structlog

from services.scheduler.domain.hours import NeverOpenError, open_span
from services.scheduler.domain.obstacle import OPTED_OUT
from services.scheduler.domain.run import ANYWHERE, NEVER_OPEN, RUN_FAILED, RunAsking, RunState, RunTerms, expiry
from services.scheduler.domain.zones import is_zone, resolve
from services.scheduler.runs import PATIENCE_SECONDS, wanted
from services.scheduler.store import recipients as ledger
from services.scheduler.store import runs as store
from shared.bus.outbox import Outbox, Unit
from shared.events.catalogue import AudienceFound
from shared.events.values import Recipient
from shared.ids import TenantId

log = structlog.get_logger(__name__)

PAGE_PLACES: Final = 10_000
"""A page has fewer recipients; so positions are in the audience's order."""
LONGEST_PATIENCE_SECONDS: Final = 600.0
ASK_LIMIT: Final = 100


async def expand(outbox: Outbox, events: Sequence[AudienceFound], now: datetime) -> None:
    """Write pages that are awaited and ask for the next; another one changes nothing."""
    for event in events:
        async with outbox.transaction() as unit:
            await _expand(unit, event, now)


async def ask_again(outbox: Outbox) -> bool:
    """Ask for pages that did not come: the question or the answer was lost, or the gateway is away."""
    async with outbox.transaction() as unit:
        rows = await store.ask_again(
            unit.connection, patience_seconds=PATIENCE_SECONDS, longest_seconds=LONGEST_PATIENCE_SECONDS, limit=ASK_LIMIT
        )
        for row in rows:
            asking = RunAsking.model_validate_json(row["asking"])
            unit.emit(wanted(TenantId(row["tenant_id"]), row["id"], asking, row["page"], row["cursor"]))
    return len(rows) == ASK_LIMIT


async def _expand(unit: Unit, event: AudienceFound, now: datetime) -> None:
    run = await store.lock_expanding(unit.connection, event.run_id)
    if run is None or run["page"] != event.page or run["tenant_id"] != event.tenant_id:
        log.info("run.page_ignored", run_id=event.run_id, page=event.page)
        return
    if event.code is not None:
        await store.fail(unit.connection, event.run_id, event.code, event.detail)
        log.info("run.ended", run_id=event.run_id, state=RunState.FAILED, code=event.code)
        return
    terms = RunTerms.model_validate_json(run["terms"])
    if event.recipients:
        await ledger.insert(unit.connection, event.run_id, _found(terms, event, now))
    next_page = await store.advance(unit.connection, event.run_id, event.next_cursor, PATIENCE_SECONDS)
    if event.next_cursor is not None:
        asking = RunAsking.model_validate_json(next_page["asking"])
        unit.emit(wanted(event.tenant_id, event.run_id, asking, next_page["page"], event.next_cursor))


def _found(terms: RunTerms, event: AudienceFound, now: datetime) -> list[ledger.Found]:
    moments: dict[str, datetime | None] = {}
    found: list[ledger.Found] = []
    for place, recipient in enumerate(map(_storable, event.recipients)):
        if recipient.zone not in moments:
            moments[recipient.zone] = _due_at(terms, recipient.zone, now)
        due_at, code, detail = moments[recipient.zone], recipient.fault, recipient.detail
        if code == OPTED_OUT and not terms.needs_consent and recipient.content is not None:
            code = detail = None
        if code is None and due_at is None:
            code, detail = NEVER_OPEN, "the hours in which it may leave have no opening"
        elif code is None and recipient.content is None:
            code = RUN_FAILED
        due_at = due_at or now
        position = event.page * PAGE_PLACES + place
        found.append(ledger.Found(position, recipient, due_at, expiry(terms, due_at), code, detail))
    return found


def _due_at(terms: RunTerms, zone: str, now: datetime) -> datetime | None:
    """When a recipient in the zone is due, in an opening of the hours; None: they have none."""
    due_at = resolve(terms.local_time, zone) if terms.local_time is not None else terms.due_at or now
    if terms.hours is None:
        return due_at
    try:
        start, _ = open_span(terms.hours, zone, max(due_at, now))
    except NeverOpenError:
        return None
    return due_at if start <= max(due_at, now) else start


def _storable(recipient: Recipient) -> Recipient:
    """What the ledger can keep: a faulty number is told as it was given, and a zone may be newer than our own list of them."""
    if "\0" not in recipient.to and is_zone(recipient.zone):
        return recipient
    zone = recipient.zone if is_zone(recipient.zone) else ANYWHERE
    return recipient.model_copy(update={"to": recipient.to.replace("\0", "\N{REPLACEMENT CHARACTER}"), "zone": zone})
