"""Campaigns, and what their runs' recipients say of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import asyncpg
import orjson

from services.scheduler.domain.campaign import Campaign, CampaignState, Change, Run
from services.scheduler.domain.run import RunState
from shared.db.pool import Connection, Pool
from shared.db.queries import Queries
from shared.ids import NumberId, TenantId

sql = Queries(Path(__file__).with_name("campaigns.sql"))
INSERT_CAMPAIGN: Final = sql["insert_campaign"]
LOCK_CAMPAIGN: Final = sql["lock_campaign"]
LOCK_RUN: Final = sql["lock_run_of_campaign"]
SELECT_CAMPAIGN: Final = sql["select_campaign"]
SELECT_CAMPAIGNS: Final = sql["select_campaigns"]
UPDATE_CAMPAIGN: Final = sql["update_campaign"]
DELETE_CAMPAIGN: Final = sql["delete_campaign"]
NUMBERS: Final = sql["numbers_of_tenant"]
PACE: Final = sql["pace_of_run"]
WAITING_ZONES: Final = sql["waiting_zones"]
UNKNOWN_OUTCOMES: Final = sql["unknown_outcomes_of_run"]
FAULTS: Final = sql["faults_of_run"]
CLOSED_WINDOWS: Final = sql["closed_windows_of_run"]
HELD_TEMPLATES: Final = sql["held_templates"]
VARIANTS: Final = sql["variants_of_run"]
FAILURES: Final = sql["failures_of_run"]
SERIES: Final = sql["series_of_run"]

SAMPLE: Final = 100_000
"""Recipients that are looked at one by one for an estimate or a warning; of more these stand for all."""
FAILURES_LIMIT: Final = 100
SERIES_LIMIT: Final = 1_500
_LAST: Final = "~"
"""After every id."""


async def insert(connection: Connection, campaign: Campaign) -> None:
    """A new draft."""
    await connection.execute(
        INSERT_CAMPAIGN,
        campaign.id,
        campaign.tenant_id,
        campaign.name,
        _json(campaign.definition),
        _json(campaign.history),
        campaign.created_at,
    )


async def find(pool: Pool, tenant_id: TenantId, campaign_id: str) -> Campaign | None:
    row = await pool.fetchrow(SELECT_CAMPAIGN, tenant_id, campaign_id)
    return None if row is None else _campaign(row)


async def lock(connection: Connection, tenant_id: TenantId, campaign_id: str) -> Campaign | None:
    """The campaign, its row locked and then that of its run: neither changes before the transaction ends."""
    locked = await connection.fetchrow(LOCK_CAMPAIGN, tenant_id, campaign_id)
    if locked is None:
        return None
    if locked["run_id"] is not None:
        await connection.execute(LOCK_RUN, locked["run_id"])
    row = await connection.fetchrow(SELECT_CAMPAIGN, tenant_id, campaign_id)
    return None if row is None else _campaign(row)


async def page(
    pool: Pool, tenant_id: TenantId, *, before: str | None, limit: int, state: CampaignState | None, now: datetime
) -> list[asyncpg.Record]:
    """The latest first, after the one with the id `before` where there is one: rows of id, name, state, run_id, created_at,
    updated_at. A definition can be a megabyte."""
    return await pool.fetch(SELECT_CAMPAIGNS, tenant_id, before or _LAST, limit, state, now)


async def update(connection: Connection, campaign: Campaign) -> None:
    """Write a locked campaign as it is now."""
    await connection.execute(
        UPDATE_CAMPAIGN,
        campaign.id,
        campaign.name,
        _json(campaign.definition),
        _json(campaign.history),
        None if campaign.run is None else campaign.run.id,
        campaign.preflight_run_id,
        campaign.first_due_at,
        campaign.updated_at,
    )


async def delete(connection: Connection, campaign_id: str) -> None:
    await connection.execute(DELETE_CAMPAIGN, campaign_id)


async def numbers(connection: Connection | Pool, tenant_id: TenantId) -> Mapping[NumberId, asyncpg.Record]:
    """The tenant's: rows of messages_per_second, paused, account_id, portfolio_id, unique_users_per_day, enforces_windows."""
    return {NumberId(row["number_id"]): row for row in await connection.fetch(NUMBERS, tenant_id)}


async def pace(connection: Connection | Pool, run_id: str) -> asyncpg.Record | None:
    """A row of id, state, code, detail, since, number_id, is_expanded, paced_seconds, base_sent, terms; None: it is forgotten."""
    return await connection.fetchrow(PACE, run_id)


async def waiting_zones(connection: Connection | Pool, run_id: str) -> Mapping[str, int]:
    """How many of a run wait in which zone, of `SAMPLE` at most."""
    return {row["zone"]: row["waiting"] for row in await connection.fetch(WAITING_ZONES, run_id, SAMPLE)}


async def unknown_outcomes(connection: Connection | Pool, run_id: str) -> int:
    """How many were handed to the provider, and nobody knows with what outcome."""
    count: int = await connection.fetchval(UNKNOWN_OUTCOMES, run_id)
    return count


async def faults(connection: Connection | Pool, run_id: str) -> list[asyncpg.Record]:
    """Rows of code, detail, recipients."""
    return await connection.fetch(FAULTS, run_id)


async def closed_windows(connection: Connection | Pool, run_id: str, number_id: NumberId) -> tuple[int, int]:
    """How many of how many who wait have not written to the number within a day; `SAMPLE` are looked at, at most."""
    row = await connection.fetchrow(CLOSED_WINDOWS, run_id, number_id, SAMPLE)
    assert row is not None  # an aggregate
    return row["closed"], row["seen"]


async def held_templates(connection: Connection | Pool, account_id: str, templates: Sequence[str]) -> list[asyncpg.Record]:
    """Rows of template, held."""
    return await connection.fetch(HELD_TEMPLATES, account_id, list(templates))


async def variants(pool: Pool, run_id: str) -> list[asyncpg.Record]:
    """Rows of variant, recipients, sent, delivered, read, failed."""
    return await pool.fetch(VARIANTS, run_id)


async def failures(pool: Pool, run_id: str) -> list[asyncpg.Record]:
    """Rows of state, code, recipients."""
    return await pool.fetch(FAILURES, run_id, FAILURES_LIMIT)


async def series(pool: Pool, run_id: str, interval: str) -> list[asyncpg.Record]:
    """Rows of at, sent, failed, delivered, read, in order; the latest `SERIES_LIMIT`."""
    return list(reversed(await pool.fetch(SERIES, run_id, interval, SERIES_LIMIT)))


def _campaign(row: asyncpg.Record) -> Campaign:
    run = None
    if row["run_id"] is not None:
        run = Run(row["run_id"], RunState(row["run_state"]), row["run_code"], row["run_detail"], row["run_since"])
    return Campaign(
        id=row["id"],
        tenant_id=row["tenant_id"],
        name=row["name"],
        definition=orjson.loads(row["definition"]),
        history=tuple(_change(entry) for entry in orjson.loads(row["history"])),
        run=run,
        preflight_run_id=row["preflight_run_id"],
        first_due_at=row["first_due_at"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _change(entry: dict[str, Any]) -> Change:
    return Change(**{**entry, "state": CampaignState(entry["state"]), "at": datetime.fromisoformat(entry["at"])})


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
