"""What the scheduler knows from others' events: who does not want to be written to, who wrote last, which templates can be sent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import asyncpg

from shared.db.pool import Connection, Pool
from shared.db.queries import Queries

sql = Queries(Path(__file__).with_name("projections.sql"))
UPSERT_CONSENT: Final = sql["upsert_consent"]
SUPPRESS_LATER: Final = sql["suppress_later"]
PRUNE_LIFTED: Final = sql["prune_lifted"]
UPSERT_WINDOWS: Final = sql["upsert_windows"]
PRUNE_WINDOWS: Final = sql["prune_windows"]
UPSERT_TEMPLATES: Final = sql["upsert_templates"]
UNBLOCK_HOLDS: Final = sql["unblock_holds"]

Consented = tuple[str, str, str | None, datetime]
"""(tenant, phone, scope of the opt-out or None, since when)."""
Inbound = tuple[str, str, datetime]
"""(number, phone, when)."""
Template = tuple[str, str, str | None, str | None, datetime]
"""(account, template, category, code of the reason why it is held or None, since when)."""


async def know_consent(connection: Connection, consents: Sequence[Consented]) -> list[asyncpg.Record]:
    """Each phone once. Takes out what waits for a later time for those who want nothing, and returns it: rows of message_id,
    tenant_id, traceparent, run_id. What is due is stopped by the claim."""
    tenants, phones, scopes, times = (list(column) for column in zip(*sorted(consents, key=_key), strict=True))
    await connection.execute(UPSERT_CONSENT, tenants, phones, scopes, times)
    return await connection.fetch(SUPPRESS_LATER, tenants, phones)


async def know_windows(connection: Connection, inbound: Sequence[Inbound]) -> None:
    """Each pair of number and phone once."""
    columns = [list(column) for column in zip(*sorted(inbound), strict=True)]
    await connection.execute(UPSERT_WINDOWS, *columns)


async def know_templates(connection: Connection, templates: Sequence[Template]) -> None:
    """Each template once."""
    columns = [list(column) for column in zip(*sorted(templates, key=_key), strict=True)]
    await connection.execute(UPSERT_TEMPLATES, *columns)


async def unblock(connection: Connection, templates: Sequence[tuple[str, str]], *, limit: int) -> bool:
    """Put back what waits for those of the (account, template) that can be sent; True where there may be more of it."""
    accounts, names = [account for account, _ in templates], [name for _, name in templates]
    return await connection.execute(UNBLOCK_HOLDS, accounts, names, limit) == f"UPDATE {limit}"


async def prune_windows(pool: Pool, *, limit: int) -> bool:
    """Forget those that have closed; True where there may be more of them."""
    return await pool.execute(PRUNE_WINDOWS, limit) == f"DELETE {limit}"


async def prune_lifted(pool: Pool, *, days: int, limit: int) -> bool:
    """Forget opt-ins that are older than any opt-out on its way; True where there may be more of them."""
    return await pool.execute(PRUNE_LIFTED, days, limit) == f"DELETE {limit}"


def _key(row: Sequence[object]) -> tuple[object, object]:
    """Rows are locked in one order everywhere."""
    return row[0], row[1]
