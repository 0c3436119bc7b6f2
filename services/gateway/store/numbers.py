"""The tenants' business numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import asyncpg

from shared.db.pool import Connection, Pool
from shared.db.queries import Queries
from shared.ids import TenantId

sql = Queries(Path(__file__).with_name("queries.sql"))
INSERT_NUMBER: Final = sql["insert_number"]
LOCK_NUMBER: Final = sql["lock_number"]
UPDATE_NUMBER: Final = sql["update_number"]
SELECT_NUMBERS: Final = sql["select_numbers"]
SELECT_PAUSED_NUMBERS: Final = sql["select_paused_numbers"]
SELECT_NUMBER: Final = sql["select_number"]
SELECT_NUMBERS_BY_PROVIDER_ID: Final = sql["select_numbers_by_provider_id"]
SELECT_NUMBERS_BY_ACCOUNT: Final = sql["select_numbers_by_account"]
SELECT_NUMBER_CALLED_BACK: Final = sql["select_number_called_back"]
SELECT_NUMBERS_THAT_SIGN: Final = sql["select_numbers_that_sign"]
VERIFY_TOKEN_KNOWN: Final = sql["verify_token_known"]
VERIFY_TOKEN_OF: Final = sql["verify_token_of"]


CHANGEABLE: Final = (
    "display_number",
    "provider_url",
    "messages_per_second",
    "profile",
    "calls_per_hour",
    "portfolio_id",
    "unique_users_per_day",
    "window_policy",
    "sealed_access_token",
    "sealed_app_secret",
    "verify_token_digest",
    "status",
    "paused_code",
    "paused_detail",
    "paused_at",
    "sealed_previous_app_secret",
    "previous_app_secret_until",
)
"""As `update_number` lists them."""


async def insert(connection: Connection, *values: object) -> asyncpg.Record | None:
    """The new record, or None where the phone number id is taken. `values` as the query lists them."""
    return await connection.fetchrow(INSERT_NUMBER, *values)


async def lock(connection: Connection, tenant_id: TenantId, number_id: str) -> asyncpg.Record | None:
    """The tenant's number of that id, nobody else's to change until the transaction ends."""
    return await connection.fetchrow(LOCK_NUMBER, tenant_id, number_id)


async def update(connection: Connection, locked: asyncpg.Record, changes: Mapping[str, object]) -> asyncpg.Record:
    """The locked record with these of its `CHANGEABLE` fields changed, under its next revision."""
    values = [changes.get(name, locked[name]) for name in CHANGEABLE]
    row = await connection.fetchrow(UPDATE_NUMBER, locked["tenant_id"], locked["id"], *values)
    assert row is not None  # it is locked
    return row


async def page(pool: Pool, tenant_id: TenantId, *, after: str | None, limit: int) -> list[asyncpg.Record]:
    """The tenant's numbers, oldest first."""
    return await pool.fetch(SELECT_NUMBERS, tenant_id, after or "", limit)


async def paused(pool: Pool, tenant_id: TenantId, number_ids: Iterable[str]) -> dict[str, str]:
    """Why those of the tenant's numbers that are paused are."""
    rows = await pool.fetch(SELECT_PAUSED_NUMBERS, tenant_id, list(number_ids))
    return {row["id"]: row["paused_code"] for row in rows}


async def find(pool: Pool, tenant_id: TenantId, number_id: str) -> asyncpg.Record | None:
    """The tenant's number of that id."""
    return await pool.fetchrow(SELECT_NUMBER, tenant_id, number_id)


async def by_provider_ids(pool: Pool, phone_number_ids: Iterable[str]) -> list[asyncpg.Record]:
    """Numbers by Meta's ids, whosever they are; for webhooks only."""
    return await pool.fetch(SELECT_NUMBERS_BY_PROVIDER_ID, list(phone_number_ids))


async def by_accounts(pool: Pool, account_ids: Iterable[str]) -> list[asyncpg.Record]:
    """Numbers by their WABA, whosever they are; for webhooks only."""
    return await pool.fetch(SELECT_NUMBERS_BY_ACCOUNT, list(account_ids))


async def of_callback(pool: Pool, number_id: str, provider: str) -> list[asyncpg.Record]:
    """The number that a provider's callback names, whosever it is; none or one. For webhooks only."""
    return await pool.fetch(SELECT_NUMBER_CALLED_BACK, number_id, provider)


async def that_sign(pool: Pool, *, limit: int) -> list[asyncpg.Record]:
    """Numbers whose secrets sign webhooks, whosever they are, oldest first; for webhooks only."""
    return await pool.fetch(SELECT_NUMBERS_THAT_SIGN, limit)


async def verify_token_known(pool: Pool, digest: bytes) -> bool:
    """True where some number was connected with that verify token."""
    return bool(await pool.fetchval(VERIFY_TOKEN_KNOWN, digest))


async def verify_token_of(pool: Pool, number_id: str, digest: bytes) -> bool:
    """True where the number was connected with that verify token."""
    return bool(await pool.fetchval(VERIFY_TOKEN_OF, number_id, digest))
