"""The tenants' callbacks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import asyncpg

from services.sender.domain.callback import CallbackFormat, CallbackState
from shared.db.pool import Connection, Pool
from shared.db.queries import Queries
from shared.ids import TenantId

sql = Queries(Path(__file__).with_name("callbacks.sql"))
LOCK_TENANT: Final = sql["lock_callback_tenant"]
SETTLE_TENANT: Final = sql["settle_callback_tenant"]
COUNT: Final = sql["count_callbacks"]
FOREIGN_NUMBERS: Final = sql["foreign_numbers"]
INSERT: Final = sql["insert_callback"]
SELECT: Final = sql["select_callback"]
LOCK: Final = sql["lock_callback"]
LIST: Final = sql["select_callbacks"]
CHANGE: Final = sql["change_callback"]
ROTATE: Final = sql["rotate_callback_secret"]
DELETE: Final = sql["delete_callback"]
ENABLED: Final = sql["enabled_callbacks"]
WAITING: Final = sql["waiting_callbacks"]
NAMED: Final = sql["callbacks_named"]
NOTE: Final = sql["note_callbacks"]
RELIEVE: Final = sql["relieve_callback"]
FAILING: Final = sql["failing_callbacks"]
DISABLE: Final = sql["disable_callback"]
TURNED_OFF: Final = sql["callbacks_turned_off"]
FORGET_DELETED: Final = sql["forget_deleted_callbacks"]


@dataclass(frozen=True, slots=True)
class Definition:
    """What a tenant says of a callback."""

    name: str | None
    url: str
    events: Sequence[str]
    number_ids: Sequence[str] | None
    state: CallbackState
    reason: str | None


@dataclass(frozen=True, slots=True)
class Sealed:
    """A new callback's secrets."""

    secret: str
    verify_token: str | None


async def lock_tenant(connection: Connection, tenant_id: TenantId) -> None:
    """The tenant's callbacks change in this transaction, and nobody else's change meanwhile."""
    await connection.fetchrow(LOCK_TENANT, tenant_id)


async def settle_tenant(connection: Connection, tenant_id: TenantId) -> tuple[int, bool] | None:
    """After a change, under the tenant's lock: revision and whether it has a callback that is on, where that has changed."""
    row = await connection.fetchrow(SETTLE_TENANT, tenant_id)
    return None if row is None else (row["revision"], row["is_watched"])


async def count(connection: Connection, tenant_id: TenantId) -> int:
    found: int = await connection.fetchval(COUNT, tenant_id)
    return found


async def foreign_numbers(connection: Connection, tenant_id: TenantId, number_ids: Sequence[str]) -> set[str]:
    """Those that are not the tenant's."""
    return {row["number_id"] for row in await connection.fetch(FOREIGN_NUMBERS, tenant_id, list(number_ids))}


async def insert(
    connection: Connection,
    callback_id: str,
    tenant_id: TenantId,
    form: CallbackFormat,
    definition: Definition,
    sealed: Sealed,
    now: datetime,
) -> None:
    await connection.execute(
        INSERT,
        callback_id,
        tenant_id,
        definition.name,
        definition.url,
        form.value,
        list(definition.events),
        _listed(definition.number_ids),
        sealed.secret,
        sealed.verify_token,
        definition.state.value,
        definition.reason,
        now if definition.state is CallbackState.DISABLED else None,
        now,
    )


async def find(connection: Connection | Pool, tenant_id: TenantId, callback_id: str) -> asyncpg.Record | None:
    return await connection.fetchrow(SELECT, tenant_id, callback_id)


async def lock(connection: Connection, tenant_id: TenantId, callback_id: str) -> asyncpg.Record | None:
    """The row, which stays as it is until the transaction ends."""
    return await connection.fetchrow(LOCK, tenant_id, callback_id)


async def listed(pool: Pool, tenant_id: TenantId, *, before: str, limit: int) -> list[asyncpg.Record]:
    """The latest first."""
    return await pool.fetch(LIST, tenant_id, before, limit)


async def change(
    connection: Connection, callback_id: str, definition: Definition, sealed_verify_token: str | None, now: datetime
) -> None:
    await connection.execute(
        CHANGE,
        callback_id,
        definition.name,
        definition.url,
        list(definition.events),
        _listed(definition.number_ids),
        sealed_verify_token,
        definition.state.value,
        definition.reason,
        now,
    )


async def rotate(connection: Connection, callback_id: str, sealed: str, previous_for_seconds: int, now: datetime) -> None:
    """A new secret; the former one stays valid for so long."""
    await connection.execute(ROTATE, callback_id, sealed, previous_for_seconds, now)


async def delete(connection: Connection, tenant_id: TenantId, callback_id: str, now: datetime) -> bool:
    """True where it was there."""
    return await connection.fetchval(DELETE, tenant_id, callback_id, now) is not None


async def enabled(pool: Pool, tenant_ids: Iterable[str]) -> list[asyncpg.Record]:
    """What these tenants' callbacks are told: id, tenant_id, format, events, number_ids."""
    return await pool.fetch(ENABLED, list(tenant_ids))


async def waiting(
    pool: Pool, left_out: Iterable[str], limit: int, *, among: Iterable[str] | None = None
) -> list[asyncpg.Record]:
    """The callbacks that something is due for: first the sound, the longest waiting first, then the failing, each in its turn."""
    return await pool.fetch(WAITING, list(left_out), limit, None if among is None else list(among))


async def named(pool: Pool, callback_ids: Iterable[str]) -> list[asyncpg.Record]:
    """Those of them that are on, with what posting to them needs."""
    return await pool.fetch(NAMED, list(callback_ids))


async def note(pool: Pool, news: Mapping[str, tuple[bool, float]]) -> None:
    """By callback: whether a post has succeeded, and for how many seconds it is to rest."""
    rows = sorted(news.items())
    await pool.execute(NOTE, [one for one, _ in rows], [ok for _, (ok, _) in rows], [rest for _, (_, rest) in rows])


async def relieve(pool: Pool, callback_id: str) -> None:
    """It has answered what was asked for by hand: nothing is held against it any more."""
    await pool.execute(RELIEVE, callback_id)


async def failing(pool: Pool, *, hours: int, limit: int) -> list[tuple[str, TenantId]]:
    """Callbacks, with their tenants, of which nothing has succeeded for so long."""
    return [(row["id"], TenantId(row["tenant_id"])) for row in await pool.fetch(FAILING, hours, limit)]


async def disable(connection: Connection, callback_id: str, reason: str, url: str | None) -> bool:
    """True where it was on, and at that URL if one is given."""
    return await connection.fetchval(DISABLE, callback_id, reason, url) is not None


async def turned_off(pool: Pool, limit: int) -> list[tuple[str, str]]:
    """Callbacks that are not on and still have deliveries to be ended or forgotten, with their states."""
    return [(row["id"], row["state"]) for row in await pool.fetch(TURNED_OFF, limit)]


async def forget_deleted(pool: Pool, *, minutes: int) -> None:
    """Those that were deleted longer ago and have no delivery left."""
    await pool.execute(FORGET_DELETED, minutes)


def _listed(number_ids: Sequence[str] | None) -> list[str] | None:
    return None if number_ids is None else list(number_ids)
