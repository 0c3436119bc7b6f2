"""Erasures: who asked, how far they are, what they found."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final, NamedTuple

import asyncpg
import orjson

from services.gateway.domain.erasure import SERVICES, Progress, State
from shared.db.pool import Connection, Pool
from shared.db.queries import Queries
from shared.ids import TenantId

sql = Queries(Path(__file__).with_name("erasures.sql"))
INSERT_ERASURE: Final = sql["insert_erasure"]
SELECT_ERASURE: Final = sql["select_erasure"]
SELECT_ERASURES: Final = sql["select_erasures"]
VERIFY_ERASURE: Final = sql["verify_erasure"]
CLAIM_ERASURE: Final = sql["claim_erasure"]
SAVE_ERASURE: Final = sql["save_erasure"]

AFTER_ALL: Final = "~"


class New(NamedTuple):
    """An erasure that is asked for. `digests` are of its addresses."""

    id: str
    tenant_id: TenantId
    requested_by: str
    digests: Sequence[bytes]
    contact_ids: Sequence[str]
    participant_ids: Sequence[str]
    sealed_person: str


class Claimed(NamedTuple):
    """One that is this process's to go on with, until its lease ends."""

    id: str
    tenant_id: TenantId
    claim: int
    sealed_person: str
    progress: Progress
    failures: int


async def insert(connection: Connection, new: New) -> asyncpg.Record:
    """The row."""
    row = await connection.fetchrow(INSERT_ERASURE, *new, SERVICES[0])
    assert row is not None
    return row


async def find(connection: Connection | Pool, tenant_id: TenantId, erasure_id: str) -> asyncpg.Record | None:
    return await connection.fetchrow(SELECT_ERASURE, tenant_id, erasure_id)


async def page(pool: Pool, tenant_id: TenantId, *, before: str | None, limit: int) -> list[asyncpg.Record]:
    """Newest first."""
    return await pool.fetch(SELECT_ERASURES, tenant_id, before or AFTER_ALL, limit)


async def verify(connection: Connection, tenant_id: TenantId, erasure_id: str, sealed_person: str) -> asyncpg.Record | None:
    """Count what there is of the person of a completed one; None where it is not completed."""
    return await connection.fetchrow(VERIFY_ERASURE, tenant_id, erasure_id, sealed_person, SERVICES[0])


async def claim(pool: Pool, lease: timedelta) -> Claimed | None:
    """The one that is due for longest."""
    row = await pool.fetchrow(CLAIM_ERASURE, lease)
    if row is None:
        return None
    progress = Progress(
        State(row["state"]),
        erases=row["erases"],
        clean_passes=row["clean_passes"],
        service=row["service"],
        place=row["place"],
        erased=orjson.loads(row["erased"]),
        remaining=orjson.loads(row["remaining"]),
        passes=row["passes"],
    )
    return Claimed(
        row["id"], TenantId(row["tenant_id"]), row["claim"], row["sealed_person"], progress, failures=row["failures"]
    )


async def save(pool: Pool, one: Claimed, *, code: str | None, wait: timedelta) -> bool:
    """Where it is now, and when it is due again; False where somebody else has claimed it."""
    progress = one.progress
    return bool(
        await pool.fetchval(
            SAVE_ERASURE,
            one.tenant_id,
            one.id,
            one.claim,
            progress.state,
            progress.erases,
            progress.clean_passes,
            progress.service,
            progress.place,
            orjson.dumps(dict(progress.erased)).decode(),
            orjson.dumps(dict(progress.remaining)).decode(),
            progress.passes,
            code,
            one.failures,
            wait,
        )
    )
