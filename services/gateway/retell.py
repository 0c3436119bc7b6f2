"""Tell the others again what they keep a copy of: for a scheduler or a sender whose tables were lost, or are new.

    python -m services.gateway.retell
    python -m services.gateway.retell --messages     after a restore from a backup

Numbers, tenants' settings, the providers' templates and who has opted out. Nothing changes here, and whoever knows it already
learns nothing: of two tellings the later revision or moment counts. What is told waits in the outbox for a gateway that runs.

`--messages` adds those of the last day whose outcome is not known here: a backup has them without a hold where the news of them was
on the bus when it was taken. A message that has a hold keeps it, one that was sent is answered for by the sender, and one that may
have been sent is not sent again (services/sender/restored.py).
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from typing import Final

import asyncpg
import orjson

from services.gateway.connections import connected
from services.gateway.domain.status import Status
from services.gateway.settings import Settings
from services.gateway.store import retell as store
from services.gateway.store.messages import AFTER_ALL
from services.gateway.store.retell import Place
from services.gateway.store.settings import read
from shared.bus.memory import MemoryBus
from shared.bus.outbox import Outbox
from shared.config import SettingsError, load
from shared.db.pool import Connection, open_pool
from shared.events.catalogue import ContactConsentChanged, MessageAccepted, TemplateChanged, TenantChanged
from shared.events.event import Event
from shared.events.values import Consent, ConsentScope, OnUnknown, Tier
from shared.ids import MessageId, NumberId, TenantId, new_id
from shared.phones import spellings
from shared.telemetry.metrics import Metrics

PAGE: Final = 1_000
RECENT: Final = timedelta(days=1)
"""Before a tenant's last message: by far longer than the news of one is on the bus."""
_OPEN: Final = frozenset({Status.ACCEPTED, Status.SCHEDULED})

Read = Callable[[Connection, Place, int], Awaitable[list[asyncpg.Record]]]
Tell = Callable[[asyncpg.Record], Iterable[Event]]


async def retell(outbox: Outbox, public_url: str) -> Counter[str]:
    """Tell everything again, a page a transaction; returns how many events of each name were told."""
    told: Counter[str] = Counter()
    kinds: tuple[tuple[Read, Tell], ...] = (
        (store.numbers, lambda row: [connected(row, public_url)]),
        (store.settings, _settings),
        (store.templates, _template),
        (store.opt_outs, _opt_out),
        (store.kept_opt_outs, _kept_opt_out),
    )
    for page_after, events_of in kinds:
        after: Place | None = ("", "")
        while after is not None:
            async with outbox.transaction() as unit:
                rows = await page_after(unit.connection, after, PAGE)
                events = [event for row in rows for event in events_of(row)]
                unit.emit(*events)
            told.update(event.event_name for event in events)
            after = (rows[-1]["tenant_id"], rows[-1]["id"]) if len(rows) == PAGE else None
    return told


async def retell_messages(outbox: Outbox) -> int:
    """Tell that those are accepted whose outcome nobody has told; returns how many these are. Their hours are not kept here."""
    told, after = 0, ""
    while True:
        async with outbox.transaction() as unit:
            tenants = await store.tenants(unit.connection, after, PAGE)
        for tenant_id in tenants:
            told += await _retell_of(outbox, tenant_id)
        if len(tenants) < PAGE:
            return told
        after = tenants[-1]


async def _retell_of(outbox: Outbox, tenant_id: str) -> int:
    told, before, oldest = 0, AFTER_ALL, None
    while True:
        async with outbox.transaction() as unit:
            rows = await store.messages(unit.connection, tenant_id, before, PAGE)
            if oldest is None and rows:
                oldest = rows[0]["created_at"] - RECENT
            events = [_accepted(row) for row in rows if row["status"] in _OPEN and row["created_at"] >= oldest]
            unit.emit(*events)
        told += len(events)
        if len(rows) < PAGE or rows[-1]["created_at"] < oldest:
            return told
        before = rows[-1]["id"]


def _accepted(row: asyncpg.Record) -> MessageAccepted:
    return MessageAccepted(
        tenant_id=TenantId(row["tenant_id"]),
        occurred_at=row["created_at"],
        traceparent=row["traceparent"],
        message_id=MessageId(row["id"]),
        number_id=NumberId(row["number_id"]),
        to=row["recipient"],
        content=orjson.loads(row["content"]),
        tier=Tier(row["tier"]),
        not_before=row["scheduled_at"] or row["created_at"],
        expires_at=row["expires_at"],
        on_unknown=OnUnknown(row["on_unknown"]),
        run_id=row["run_id"],
    )


def _settings(row: asyncpg.Record) -> Iterable[Event]:
    chosen = read(row)
    if chosen.revision:  # 0: locked once and never changed
        yield TenantChanged(
            tenant_id=TenantId(row["tenant_id"]),
            revision=chosen.revision,
            time_zone=chosen.time_zone,
            hours=chosen.told_hours(),
        )


def _template(row: asyncpg.Record) -> Iterable[Event]:
    yield TemplateChanged(
        tenant_id=TenantId(row["tenant_id"]),
        account_id=row["account_id"],
        name=row["name"],
        language=row["language"],
        category=row["category"],
        held=row["held"],
        changed_at=row["status_at"],
    )


def _opt_out(row: asyncpg.Record) -> Iterable[Event]:
    """Of each address that messages go to."""
    phone, user_id = row["phone"], row["user_id"]
    for address in (*(() if phone is None else spellings(phone)), *(() if user_id is None else (user_id,))):
        yield ContactConsentChanged(
            tenant_id=TenantId(row["tenant_id"]),
            contact_id=row["id"],
            phone=address,
            consent=Consent(row["consent"]),
            scope=ConsentScope(row["consent_scope"]),
            source=row["consent_source"],
            changed_at=row["consent_at"],
        )


def _kept_opt_out(row: asyncpg.Record) -> Iterable[Event]:
    contact_id = new_id("ctc")  # nobody's: who it was is forgotten
    for address in spellings(row["address"]):  # a user id has one
        yield ContactConsentChanged(
            tenant_id=TenantId(row["tenant_id"]),
            contact_id=contact_id,
            phone=address,
            consent=Consent.OPTED_OUT,
            scope=ConsentScope(row["scope"]),
            source=row["source"],
            changed_at=row["at"],
        )


async def _run(settings: Settings, *, messages: bool) -> str:
    async with open_pool(settings.db, "gateway") as pool:
        # Nobody runs this outbox: its rows are relayed by a gateway's.
        public_url = settings.gateway.public_url or f"http://127.0.0.1:{settings.http.port}"
        outbox = Outbox(pool, MemoryBus(), Metrics("gateway"))
        told = await retell(outbox, public_url)
        if messages:
            told["message.accepted"] = await retell_messages(outbox)
    return "\n".join(f"{name} {count}" for name, count in sorted(told.items())) or "there is nothing to tell"


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m services.gateway.retell", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--messages", action="store_true", help="also messages whose outcome is not known")
    arguments = parser.parse_args()
    try:
        sys.stdout.write(asyncio.run(_run(load(Settings), messages=arguments.messages)) + "\n")
    except (SettingsError, OSError, asyncpg.PostgresError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
