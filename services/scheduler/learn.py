"""Learn from the gateway's events what a release has to know: consent, templates, customer service windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from services.scheduler.domain.obstacle import template_key
from services.scheduler.set_aside import suppressed
from services.scheduler.store import projections
from shared.bus.outbox import Outbox
from shared.events.catalogue import ContactConsentChanged, MessageReceived, TemplateChanged
from shared.events.values import Consent
from shared.phones import spellings

UNBLOCK_LIMIT: Final = 5_000
"""Holds in one statement, so that it ends well within its time however many wait for a template."""


async def learn_consent(outbox: Outbox, events: Sequence[ContactConsentChanged]) -> None:
    """Keep who wants nothing; what waits for them for later is taken out at once, the rest when it is due."""
    latest: dict[tuple[str, str], ContactConsentChanged] = {}
    for event in events:
        if event.phone is not None:
            before = latest.setdefault((event.tenant_id, event.phone), event)
            if before.changed_at < event.changed_at:
                latest[event.tenant_id, event.phone] = event
    if not latest:
        return
    consents = [
        (tenant, phone, event.scope if event.consent is Consent.OPTED_OUT else None, event.changed_at)
        for (tenant, phone), event in latest.items()
    ]
    async with outbox.transaction() as unit:
        await suppressed(unit, await projections.know_consent(unit.connection, consents))


async def learn_windows(outbox: Outbox, events: Sequence[MessageReceived]) -> None:
    """Keep when somebody last wrote to a number, or in a group of its. Whoever answers may know them by another spelling of their
    phone than WhatsApp, or by their user id. What was written before the number was connected opens nothing."""
    latest: dict[tuple[str, str], datetime] = {}
    for event in events:
        for address in () if event.is_history else _answered_at(event):
            key = event.number_id, address
            latest[key] = max(latest.get(key, event.received_at), event.received_at)
    if not latest:
        return
    async with outbox.transaction() as unit:
        await projections.know_windows(unit.connection, [(*key, at) for key, at in latest.items()])


def _answered_at(event: MessageReceived) -> tuple[str, ...]:
    """The addresses that an answer may have."""
    if event.group_id is not None:
        return (f"group:{event.group_id}",)
    return spellings(event.sender) if event.user_id in (None, event.sender) else (*spellings(event.sender), event.user_id)


async def learn_templates(outbox: Outbox, events: Sequence[TemplateChanged], wake: Callable[[], None]) -> None:
    """Keep which templates are held. What waits for one that can be sent is put back, a bounded part at a time; where this ends
    halfway the events come again, and it goes on."""
    latest: dict[tuple[str, str], TemplateChanged] = {}
    for event in events:
        key = event.account_id, template_key(event.name, event.language)
        if key not in latest or latest[key].changed_at < event.changed_at:
            latest[key] = event
    async with outbox.transaction() as unit:
        await projections.know_templates(
            unit.connection,
            [(*key, event.category, event.held, event.changed_at) for key, event in latest.items()],
        )
    more = True
    while more:
        async with outbox.transaction() as unit:
            more = await projections.unblock(unit.connection, list(latest), limit=UNBLOCK_LIMIT)
        wake()
