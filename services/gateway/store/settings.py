"""What tenants want of time and words."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import asyncpg
import orjson

from services.gateway.domain.tenant_settings import TenantSettings
from shared.db.pool import Connection, Pool
from shared.db.queries import Queries
from shared.ids import TenantId

sql = Queries(Path(__file__).with_name("settings.sql"))
LOCK_SETTINGS: Final = sql["lock_settings"]
UPDATE_SETTINGS: Final = sql["update_settings"]
SELECT_SETTINGS: Final = sql["select_settings"]


async def lock(connection: Connection, tenant_id: TenantId) -> TenantSettings:
    """The tenant's settings, nobody else's to change until the transaction ends."""
    fresh = TenantSettings()
    row = await connection.fetchrow(
        LOCK_SETTINGS, tenant_id, fresh.time_zone, _json(fresh.stop_words), _json(fresh.start_words)
    )
    assert row is not None
    return read(row)


async def update(connection: Connection, tenant_id: TenantId, settings: TenantSettings) -> TenantSettings:
    """Write the locked settings under their next revision."""
    row = await connection.fetchrow(
        UPDATE_SETTINGS,
        tenant_id,
        settings.time_zone,
        None if settings.hours is None else settings.hours.model_dump_json(),
        _json(settings.stop_words),
        _json(settings.start_words),
    )
    assert row is not None  # it is locked
    return read(row)


async def find(connection: Connection | Pool, tenant_id: TenantId) -> TenantSettings:
    """The tenant's settings; those of one who has chosen nothing where there are none."""
    row = await connection.fetchrow(SELECT_SETTINGS, tenant_id)
    return TenantSettings() if row is None else read(row)


def read(row: asyncpg.Record) -> TenantSettings:
    """The settings in a row."""
    return TenantSettings(
        revision=row["revision"],
        time_zone=row["time_zone"],
        hours=None if row["hours"] is None else orjson.loads(row["hours"]),
        stop_words=orjson.loads(row["stop_words"]),
        start_words=orjson.loads(row["start_words"]),
    )


def _json(value: object) -> str:
    return orjson.dumps(value).decode()
