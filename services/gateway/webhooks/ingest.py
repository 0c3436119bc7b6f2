"""The second step of a webhook: payloads that are durable (`intake`) are read and told as events.

A payload that cannot be read whole is set aside, its readable parts are told all the same. One that makes the reader fail is set
aside too, and costs itself only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import structlog

from services.gateway.connections import Connections
from services.gateway.consent import hear_messages, hear_preferences
from services.gateway.domain import webhook
from services.gateway.domain.payload import parsed
from services.gateway.domain.update import Fact
from services.gateway.domain.webhook import IdentityChange, Inbound, Reading, Report
from services.gateway.numbers import NumberDirectory, WebhookSource
from services.gateway.store import news, templates, webhooks
from services.gateway.templates import take_notices
from services.gateway.updates import Updates, consents_of
from services.gateway.webhooks import account_news, identities
from services.gateway.webhooks.account_news import digest_of, hear_news
from services.gateway.webhooks.heard import Said, new_of, tell_heard
from services.gateway.webhooks.identities import hear_book, hear_identities, learn_names
from services.gateway.webhooks.inbound_rate import InboundRate
from services.gateway.webhooks.reported import Name, Origin, origins_of, tell_reports
from shared.bus.outbox import Outbox, Unit
from shared.ids import TenantId
from shared.telemetry.tracing import Tracing
from shared.unavailable import is_unavailable

log = structlog.get_logger(__name__)

READ_LIMIT: Final = 256
READ_BYTES: Final = 512 * 1024
"""What is read in one transaction, if so much waits: the more of a message's reports come together, the fewer rows are written. A
report is about 400 bytes; a payload may hold a thousand."""
BUSY_BYTES: Final = 32 * 1024
GATHER_SECONDS: Final = 0.1
"""After a read of so many bytes the next reports have so long to come together; after a smaller one they are read as they come."""


@dataclass(frozen=True, slots=True)
class _Read:
    """A payload with its reading, of which only what its tenant may speak of is left."""

    id: int
    tenant_id: TenantId
    traceparent: str | None
    reading: Reading


@dataclass(frozen=True, slots=True, repr=False)
class WebhookReader:
    """Reads payloads, with what it needs for all that they can say."""

    outbox: Outbox
    numbers: NumberDirectory
    connections: Connections
    updates: Updates
    rate: InboundRate
    tracing: Tracing

    async def read_waiting(self, *, limit: int = READ_LIMIT) -> bool:
        """The second step, for the oldest payloads; True where there may be more.

        Where one of them makes it fail they are read one by one, and that one is set aside: it would fail again for ever.
        """
        ids: list[int] = []
        try:
            async with self.outbox.transaction() as unit:
                rows = await webhooks.claim(unit.connection, limit=limit, limit_bytes=READ_BYTES)
                ids = [row.id for row in rows]
                await self._read(unit, rows)
        except Exception as error:
            if not ids or is_unavailable(error):
                raise
            if limit == 1:
                log.error("webhook.unreadable", webhook_id=ids[0], exc_info=error)
                async with self.outbox.transaction() as unit:
                    await webhooks.quarantine(unit.connection, {ids[0]: type(error).__name__})
            else:
                for _ in ids:
                    await self.read_waiting(limit=1)
            return True
        size = sum(len(row.body) for row in rows)
        if len(rows) == limit or size >= READ_BYTES:
            return True
        if size >= BUSY_BYTES:
            await asyncio.sleep(GATHER_SECONDS)
        return False

    async def _read(self, unit: Unit, rows: Sequence[webhooks.Waiting]) -> None:
        if not rows:
            return
        read = [_Read(row.id, row.tenant_id, row.traceparent, webhook.read(parsed(row.body))) for row in rows]
        sources = await self.numbers.sources(set[str]().union(*(one.reading.phone_number_ids for one in read)))
        await _keep_own(unit, read, sources)
        watching = await self.updates.watching(unit, {one.tenant_id for one in read})
        now = datetime.now(UTC)
        facts: list[Fact] = [*await tell_reports(unit, _reports(read, sources), _origins(read), self.tracing, watching)]
        new = await new_of(unit, _said(read, sources))
        if new:
            facts += await tell_heard(unit, new, self.rate, watching)
            await _hear_people(unit, new, now)
        switches = [(one.tenant_id, switch) for one in read for switch in one.reading.preferences]
        if switches:
            await hear_preferences(unit, switches, now)
        if changes := [*_identities(new), *await _new_identities(unit, read)]:
            facts += await hear_identities(unit, changes, now)
        if book := [(one.tenant_id, entry) for one in read for entry in one.reading.book]:
            await hear_book(unit, book, now)
        if notices := [(one.tenant_id, notice) for one in read for notice in one.reading.templates]:
            await take_notices(unit, notices, now)
        if told := _news(read, sources):
            facts += await hear_news(unit, told, self.connections, watching, now)
        facts += consents_of(unit, watching)
        await self.updates.tell(unit, facts)
        await _put_away(unit, read)


async def _keep_own(unit: Unit, read: Sequence[_Read], sources: Mapping[str, WebhookSource]) -> None:
    """Leave of each reading what its tenant may speak of. A number that nobody had when the payload was signed may be another
    tenant's by now."""
    numbers: dict[str, set[str]] = {}
    for phone_number_id, source in sources.items():
        numbers.setdefault(source.tenant_id, set()).add(phone_number_id)
    named = {(one.tenant_id, account_id) for one in read for account_id in one.reading.account_ids}
    accounts: dict[str, set[str]] = {}
    for tenant_id, account_id in await templates.own_accounts(unit.connection, named) if named else ():
        accounts.setdefault(tenant_id, set()).add(account_id)
    for one in read:
        one.reading.keep_only(numbers.get(one.tenant_id, set()), accounts.get(one.tenant_id, set()))


def _reports(read: Sequence[_Read], sources: Mapping[str, WebhookSource]) -> dict[Name, list[Report]]:
    """By the messages of ours that they are about."""
    reports: dict[Name, list[Report]] = {}
    for one in read:
        for report in one.reading.reports:
            if report.message_id is not None:
                name = one.tenant_id, report.message_id, sources[report.phone_number_id].number_id
                reports.setdefault(name, []).append(report)
    return reports


def _origins(read: Sequence[_Read]) -> dict[Origin, str]:
    """The recorded requests that brought reports."""
    origins: dict[Origin, str] = {}
    for one in read:
        origins |= origins_of(one.reading.reports, one.traceparent)
    return origins


def _said(read: Sequence[_Read], sources: Mapping[str, WebhookSource]) -> list[Said]:
    """All that has an id, a number's messages before what changes them."""
    return [
        Said(one.tenant_id, sources[part.phone_number_id].number_id, part, one.traceparent)
        for kind in ("inbound", "echoes", "edits", "revokes", "identities")
        for one in read
        for part in getattr(one.reading, kind)
        if not isinstance(part, IdentityChange) or (part.name is not None and part.phone_number_id is not None)
    ]


async def _hear_people(unit: Unit, new: Sequence[Said], now: datetime) -> None:
    """What new messages say of those who wrote them. What is said in a group is said to the group, and what was said before the
    number was connected was said to somebody else."""
    inbound = [(said.tenant_id, said.part) for said in new if isinstance(said.part, Inbound)]
    await learn_names(unit, inbound, now)
    direct = [(tenant, message) for tenant, message in inbound if not message.is_history and message.group_id is None]
    if direct:
        await hear_messages(unit, direct, now)


def _identities(new: Sequence[Said]) -> list[identities.Told]:
    return [identities.Told(said.tenant_id, said.part) for said in new if isinstance(said.part, IdentityChange)]


async def _new_identities(unit: Unit, read: Sequence[_Read]) -> list[identities.Told]:
    """Those without an id that had not been taken before."""
    told: dict[tuple[TenantId, bytes], identities.Told] = {}
    for one in read:
        for change in one.reading.identities:
            if change.name is None:
                key = one.tenant_id, digest_of(change.origin, change.raw)
                told.setdefault(key, identities.Told(one.tenant_id, change))
    new = await news.take(unit.connection, told.keys())
    return [one for key, one in told.items() if key in new]


def _news(read: Sequence[_Read], sources: Mapping[str, WebhookSource]) -> list[account_news.Told]:
    told = []
    for one in read:
        for change in one.reading.changes:
            source = sources.get(change.origin.phone_number_id or "")
            number_id = None if source is None else source.number_id
            told.append(account_news.Told(one.tenant_id, number_id, change))
    return told


async def _put_away(unit: Unit, read: Sequence[_Read]) -> None:
    """Delete what was understood whole, set the rest aside."""
    partly = {one.id: one.reading.missed.reason for one in read if one.reading.not_understood}
    if partly:
        log.warning("webhook.quarantined", payloads=len(partly))
        await webhooks.quarantine(unit.connection, partly)
    await webhooks.delete(unit.connection, [one.id for one in read if one.id not in partly])
