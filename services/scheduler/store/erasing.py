"""What the scheduler keeps of people, found page by page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import asyncpg
import orjson

from services.scheduler.domain.erasure import Cut, without
from services.scheduler.domain.run import RecipientState
from services.scheduler.store import recipients as ledger
from shared.db.pool import Connection
from shared.db.queries import Queries
from shared.erasure.person import Person
from shared.erasure.steps import Found
from shared.ids import TenantId

sql = Queries(Path(__file__).with_name("erasing.sql"))
LOOK_THROUGH_HOLDS: Final = sql["look_through_holds"]
TAKE_HOLDS: Final = sql["take_holds"]
PAGE_OF_RUNS: Final = sql["page_of_runs"]
RECIPIENTS_CALLED: Final = sql["recipients_called"]
LOCK_RUNS: Final = sql["lock_runs"]
EMPTY_RECIPIENTS: Final = sql["empty_recipients"]
PAGE_OF_CAMPAIGNS: Final = sql["page_of_campaigns"]
LOCK_DEFINITION: Final = sql["lock_definition"]
REDEFINE_CAMPAIGN: Final = sql["redefine_campaign"]
PAGE_OF_SCHEDULES: Final = sql["page_of_schedules_kept"]
LOCK_SCHEDULE: Final = sql["lock_kept_schedule"]
RESPELL_SCHEDULE: Final = sql["respell_schedule"]
DELETE_SCHEDULE: Final = sql["delete_schedule"]
PAGE_OF_ASKINGS: Final = sql["page_of_askings"]
LOCK_ASKING: Final = sql["lock_asking"]
REWRITE_ASKING: Final = sql["rewrite_asking"]
SUPPRESSED_ADDRESSES: Final = sql["suppressed_addresses"]
HIDE_SUPPRESSIONS: Final = sql["hide_suppressions"]
WINDOWS_OF: Final = sql["windows_of_addresses"]
DELETE_WINDOWS: Final = sql["delete_windows"]

HOLDS: Final = 20_000
RUNS: Final = 1_000
DEFINITIONS: Final = 200
"""Each may name a thousand recipients."""
ERASED: Final = "person.erased"

Place = tuple[str, int]
"""Run and position."""


async def holds(connection: Connection, tenant_id: TenantId, person: Person, after: str) -> Found:
    row = await connection.fetchrow(LOOK_THROUGH_HOLDS, tenant_id, after, person.addresses, HOLDS)
    assert row is not None
    return Found(row["ids"], row["last"] if row["looked_at"] == HOLDS else None)


async def take_holds(connection: Connection, message_ids: Sequence[str]) -> list[asyncpg.Record]:
    """Let go of what has not been released; rows of message_id, tenant_id, traceparent, run_id, state. The rest ends by itself."""
    return await connection.fetch(TAKE_HOLDS, message_ids)


async def recipients(connection: Connection, tenant_id: TenantId, person: Person, after: str) -> Found:
    """Places in the ledger of the tenant's runs."""
    runs = await connection.fetch(PAGE_OF_RUNS, after, RUNS)
    own = [row["id"] for row in runs if row["tenant_id"] == tenant_id]
    rows = await connection.fetch(RECIPIENTS_CALLED, own, person.addresses) if own else []
    return Found([(row["run_id"], row["position"]) for row in rows], runs[-1]["id"] if len(runs) == RUNS else None)


async def empty_recipients(connection: Connection, places: Sequence[Place]) -> None:
    """Those that wait get no message; of those that have ended is left how. One that was asked for ends with its hold first."""
    await connection.execute(LOCK_RUNS, sorted({run_id for run_id, _ in places}))
    await ledger.end(connection, places, RecipientState.CANCELED, ERASED)
    await connection.execute(EMPTY_RECIPIENTS, [run_id for run_id, _ in places], [position for _, position in places])


async def campaigns(connection: Connection, tenant_id: TenantId, person: Person, after: str) -> Found:
    rows = await connection.fetch(PAGE_OF_CAMPAIGNS, tenant_id, after, DEFINITIONS)
    return _naming(rows, person, lambda row: [row["definition"]])


async def redefine_campaign(connection: Connection, tenant_id: TenantId, person: Person, campaign_id: str) -> None:
    """Without the person."""
    text = await connection.fetchval(LOCK_DEFINITION, tenant_id, campaign_id)
    if text is not None and (cut := _cut(text, person)) is not None:
        await connection.execute(REDEFINE_CAMPAIGN, campaign_id, _text(cut.document))


async def schedules(connection: Connection, tenant_id: TenantId, person: Person, after: str) -> Found:
    rows = await connection.fetch(PAGE_OF_SCHEDULES, tenant_id, after, DEFINITIONS)
    return _naming(rows, person, lambda row: [row["definition"], row["spec"]])


async def lock_schedule(connection: Connection, tenant_id: TenantId, schedule_id: str) -> asyncpg.Record | None:
    """Its definition, spec and state."""
    return await connection.fetchrow(LOCK_SCHEDULE, tenant_id, schedule_id)


async def respell_schedule(connection: Connection, row: asyncpg.Record, person: Person, schedule_id: str) -> None:
    """Without the person; a locked one that was for nobody else is deleted."""
    definition, spec = _cut(row["definition"], person), _cut(row["spec"], person)
    if (definition is not None and definition.is_nobodys) or (spec is not None and spec.is_nobodys):
        await connection.execute(DELETE_SCHEDULE, schedule_id)
        return
    await connection.execute(
        RESPELL_SCHEDULE,
        schedule_id,
        row["definition"] if definition is None else _text(definition.document),
        row["spec"] if spec is None else _text(spec.document),
    )


def is_for_nobody_else(row: asyncpg.Record, person: Person) -> bool:
    """True where nobody is left in the audience of a schedule without the person."""
    cuts = (_cut(row["definition"], person), _cut(row["spec"], person))
    return any(cut is not None and cut.is_nobodys for cut in cuts)


async def askings(connection: Connection, tenant_id: TenantId, person: Person, after: str) -> Found:
    rows = await connection.fetch(PAGE_OF_ASKINGS, tenant_id, after, DEFINITIONS)
    return _naming(rows, person, lambda row: [row["asking"]])


async def rewrite_asking(connection: Connection, person: Person, run_id: str) -> None:
    """Without the person."""
    text = await connection.fetchval(LOCK_ASKING, run_id)
    if text is not None and (cut := _cut(text, person)) is not None:
        await connection.execute(REWRITE_ASKING, run_id, _text(cut.document))


async def suppressions(connection: Connection, tenant_id: TenantId, person: Person, _: str) -> Found:
    rows = await connection.fetch(SUPPRESSED_ADDRESSES, tenant_id, person.addresses)
    return Found([row["phone"] for row in rows])


async def hide_suppressions(connection: Connection, tenant_id: TenantId, addresses: Sequence[str]) -> None:
    """That they want nothing stays, and nobody can read from it who they are."""
    await connection.execute(HIDE_SUPPRESSIONS, tenant_id, addresses)


async def windows(connection: Connection, tenant_id: TenantId, person: Person, _: str) -> Found:
    """(number, address) of when they last wrote."""
    rows = await connection.fetch(WINDOWS_OF, tenant_id, person.spellings)
    return Found([(row["number_id"], row["phone"]) for row in rows])


async def delete_windows(connection: Connection, keys: Sequence[tuple[str, str]]) -> None:
    await connection.execute(DELETE_WINDOWS, [number_id for number_id, _ in keys], [phone for _, phone in keys])


def _naming(rows: Sequence[asyncpg.Record], person: Person, texts: Callable[[asyncpg.Record], Sequence[str | None]]) -> Found:
    found = [row["id"] for row in rows if any(text and _cut(text, person) is not None for text in texts(row))]
    return Found(found, rows[-1]["id"] if len(rows) == DEFINITIONS else None)


def _cut(text: str, person: Person) -> Cut | None:
    document: Any = orjson.loads(text) if text else None
    return without(document, person) if isinstance(document, dict) else None


def _text(document: dict[str, Any]) -> str:
    return orjson.dumps(document).decode()
