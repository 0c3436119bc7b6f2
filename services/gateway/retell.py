"""Tell the others again what they keep a copy of: for a scheduler or a sender whose tables were lost, or are new.

    python -m services.gateway.retell

Numbers, tenants' settings, the providers' templates and who has opted out. Nothing changes here, and whoever knows it already
learns nothing: of two tellings the later revision or moment counts. What is told waits in the outbox for a gateway that runs.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import asyncpg

from services.gateway.connections import connected
from services.gateway.settings import Settings
from services.gateway.store import retell as store
from services.gateway.store.retell import Place
from services.gateway.store.settings import read
from shared.bus.memory import MemoryBus
from shared.bus.outbox import Outbox
from shared.config import SettingsError, load
from shared.db.pool import Connection, open_pool
from shared.events.catalogue import ContactConsentChanged, TemplateChanged, TenantChanged
from shared.events.event import Event
from shared.events.values import Consent, ConsentScope
from shared.ids import TenantId, new_id
from shared.phones import spellings

PAGE: Final = 1_000

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


async def _run(settings: Settings) -> str:
    async with open_pool(settings.db, "gateway") as pool:
        # Nobody runs this outbox: its rows are relayed by a gateway's.
        public_url = settings.gateway.public_url or f"http://127.0.0.1:{settings.http.port}"
        told = await retell(Outbox(pool, MemoryBus(), service="gateway"), public_url)
    return "\n".join(f"{name} {count}" for name, count in sorted(told.items())) or "there is nothing to tell"


def main() -> int:
    """The command line."""
    try:
        sys.stdout.write(asyncio.run(_run(load(Settings))) + "\n")
    except (SettingsError, OSError, asyncpg.PostgresError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
