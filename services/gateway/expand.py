"""Answers the scheduler that wants a page of an audience: who they are, and what is to be said to each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import orjson
import structlog

from services.gateway.audience import OPTED_OUT, Member, Page, find_page
from services.gateway.domain.rendering import Fault
from services.gateway.render import Renderer, prepare
from services.gateway.store import settings
from shared.bus.outbox import Outbox
from shared.db.pool import Connection
from shared.events.catalogue import AudienceFound, AudienceWanted
from shared.events.values import Recipient

log = structlog.get_logger(__name__)

LARGEST_PAGE: Final = 1_000
LARGEST_PAGE_BYTES: Final = 4 * 1024 * 1024
"""Of all contents of a page; the bus takes no message over 16 MiB. Contents of usual length are a twentieth of it."""


async def answer(outbox: Outbox, events: Sequence[AudienceWanted]) -> None:
    """Tell each page, or why there is none. Asked twice it is told twice, and says the same as long as nothing has changed."""
    for event in events:
        async with outbox.transaction() as unit:
            found = await _found(unit.connection, event)
            unit.emit(found)
        log.info("audience.found", run_id=event.run_id, page=event.page, recipients=len(found.recipients), code=found.code)


async def _found(connection: Connection, event: AudienceWanted) -> AudienceFound:
    renderer = await prepare(connection, event.tenant_id, event.run_id, event.variants)
    if isinstance(renderer, Fault):
        return _answer(event, fault=renderer)
    zone = event.default_zone or (await settings.find(connection, event.tenant_id)).time_zone
    limit = min(max(event.limit, 1), LARGEST_PAGE)
    while True:
        page = await find_page(connection, event.tenant_id, event.audience, cursor=event.cursor, limit=limit, default_zone=zone)
        if isinstance(page, Fault):
            return _answer(event, fault=page)
        recipients = [_recipient(member, renderer) for member in page.members]
        if limit == 1 or sum(map(_size, recipients)) <= LARGEST_PAGE_BYTES:
            return _answer(event, recipients, page)
        limit = max(1, limit // 4)


def _answer(
    event: AudienceWanted, recipients: Sequence[Recipient] = (), page: Page | None = None, fault: Fault | None = None
) -> AudienceFound:
    return AudienceFound(
        tenant_id=event.tenant_id,
        traceparent=event.traceparent,
        run_id=event.run_id,
        page=event.page,
        recipients=list(recipients),
        next_cursor=None if page is None else page.next_cursor,
        code=None if fault is None else fault.code,
        detail=None if fault is None else fault.detail,
    )


def _size(recipient: Recipient) -> int:
    return 0 if recipient.content is None else len(orjson.dumps(recipient.content))


def _recipient(member: Member, renderer: Renderer) -> Recipient:
    """Somebody who opted out has their content all the same: whether consent is needed is the scheduler's to know."""
    fault = member.fault
    index, content = 0, None
    if fault is None or fault is OPTED_OUT:
        rendered = renderer.render(member)
        if not isinstance(rendered, Fault):
            index, content = rendered
        elif fault is None:
            fault = rendered
    return Recipient(
        contact_id=member.contact_id,
        to=member.to,
        zone=member.zone,
        variant=index,
        content=content,
        fault=None if fault is None else fault.code,
        detail=None if fault is None else fault.detail,
    )
