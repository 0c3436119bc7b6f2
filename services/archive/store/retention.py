"""How long entries are kept, and whose are due to go."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Final, NamedTuple

from shared.db.pool import Connection, Pool
from shared.db.queries import Queries
from shared.ids import TenantId

sql = Queries(Path(__file__).with_name("retention.sql"))
RETENTION: Final = sql["retention"]
SET_RETENTION: Final = sql["set_retention"]
CLAIM_OVERDUE: Final = sql["claim_overdue"]
OVERDUE_ENTRIES: Final = sql["overdue_entries"]
COUNT_REMOVED: Final = sql["count_removed"]
DROP_EMPTY_MONTH: Final = sql["drop_empty_month"]
FORGET_EMPTY_CONVERSATIONS: Final = sql["forget_empty_conversations"]


class Retention(NamedTuple):
    """A tenant's rule, and what it has done. `days` None: no rule of its own."""

    days: int | None = None
    removed_entries: int = 0
    removed_at: datetime | None = None


class Overdue(NamedTuple):
    """A tenant that has entries from before `since`."""

    tenant_no: int
    tenant_id: TenantId
    since: datetime


async def retention(connection: Connection | Pool, tenant: TenantId) -> Retention:
    """The tenant's rule, and what it has done."""
    row = await connection.fetchrow(RETENTION, tenant)
    return Retention(*row) if row else Retention()


async def set_retention(connection: Connection | Pool, tenant_no: int, days: int | None, by: str) -> None:
    """Keep the tenant's entries for so many days from now on; None: without a rule of its own."""
    await connection.execute(SET_RETENTION, tenant_no, days, by)


async def claim_overdue(connection: Connection, now: datetime, kept_since: datetime | None) -> Overdue | None:
    """A tenant with entries that are due to go, locked until the transaction ends; None where nobody has any, or others see to it.
    `kept_since`: before it nobody's are kept."""
    row = await connection.fetchrow(CLAIM_OVERDUE, now, kept_since)
    return Overdue(*row) if row else None


async def overdue_entries(connection: Connection, tenant: Overdue, limit: int) -> list[tuple[str, datetime]]:
    """Ids and times of the tenant's oldest entries that are due to go."""
    rows = await connection.fetch(OVERDUE_ENTRIES, tenant.tenant_no, tenant.since, limit)
    return [(row["entry_id"], row["sent_at"]) for row in rows]


async def count_removed(connection: Connection, tenant_no: int, now: datetime, entries: int) -> None:
    """Note how many entries went."""
    await connection.execute(COUNT_REMOVED, tenant_no, now, entries)


async def drop_empty_month(connection: Connection | Pool, before: datetime) -> date | None:
    """Take away one month without entries that ended before; its first day, None where there is none. Raises
    `asyncpg.LockNotAvailableError` where readers and writers leave it no moment."""
    dropped: date | None = await connection.fetchval(DROP_EMPTY_MONTH, before)
    return dropped


async def forget_empty_conversations(connection: Connection | Pool, limit: int) -> int:
    """Delete conversations that have no entries any more; returns how many."""
    return int((await connection.execute(FORGET_EMPTY_CONVERSATIONS, limit)).rpartition(" ")[2])
