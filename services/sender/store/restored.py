"""What may have been sent before the database was restored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import asyncpg

from services.sender.domain.attempt import AttemptId
from services.sender.domain.outcome import Retry, Sent, Unknown
from services.sender.store.attempts import Head, Settled, head_of, ids_of
from shared.db.pool import Connection, Pool
from shared.db.queries import Queries
from shared.events.catalogue import MessageReleased

sql = Queries(Path(__file__).with_name("restored.sql"))
INSERT_RESTORE: Final = sql["insert_restore"]
LAST_RESTORE: Final = sql["last_restore"]
SELECT_WANTED: Final = sql["select_wanted"]
HOLD_BACK: Final = sql["hold_back"]
RESEND_RESTORED: Final = sql["resend_restored"]
DISCARD_RESTORED: Final = sql["discard_restored"]
SETTLE_RESTORED: Final = sql["settle_restored"]
COUNT_RESTORED: Final = sql["count_restored"]

RESTORED: Final = "platform.restored"
RESENT: Final = "platform.resent"
DISCARDED: Final = "platform.discarded"


async def mark(connection: Connection) -> datetime:
    """The database was restored: now."""
    moment: datetime = await connection.fetchval(INSERT_RESTORE)
    return moment


async def last(pool: Pool) -> datetime | None:
    """When it was restored last."""
    moment: datetime | None = await pool.fetchval(LAST_RESTORE)
    return moment


async def wanted(connection: Connection, message_ids: Sequence[str]) -> set[str]:
    """Those that an operator wants sent."""
    return {row["message_id"] for row in await connection.fetch(SELECT_WANTED, message_ids)}


async def hold_back(connection: Connection, released: Sequence[MessageReleased], now: datetime) -> list[Settled]:
    """Write these as of unknown outcome; returns those that were new."""
    rows = await connection.fetch(
        HOLD_BACK,
        [event.message_id for event in released],
        [event.attempt for event in released],
        [event.tenant_id for event in released],
        [event.number_id for event in released],
        [event.traceparent for event in released],
        [event.occurred_at for event in released],
        now,
    )
    by_id = {AttemptId(event.message_id, event.attempt): event for event in released}
    return [
        Settled(Head(one, by_id[one].tenant_id, by_id[one].traceparent, now, by_id[one].occurred_at), Unknown(RESTORED))
        for one in ids_of(rows)
    ]


async def resend(
    connection: Connection, tenant_id: str | None, number_id: str | None, message_ids: Sequence[str] | None, limit: int
) -> list[Settled]:
    """Put back what waits for an operator, to be sent."""
    rows = await connection.fetch(RESEND_RESTORED, tenant_id, number_id, message_ids, limit)
    return [Settled(head_of(row), Retry(RESENT, counted=False), row["retry_at"]) for row in rows]


async def discard(
    connection: Connection, tenant_id: str | None, number_id: str | None, message_ids: Sequence[str] | None, limit: int
) -> list[Settled]:
    """Give up what waits for an operator."""
    rows = await connection.fetch(DISCARD_RESTORED, tenant_id, number_id, message_ids, limit)
    return [Settled(head_of(row), Unknown(DISCARDED)) for row in rows]


async def settle(connection: Connection, reports: Iterable[tuple[str, str]]) -> list[Settled]:
    """The provider has these messages, by (message, wamid)."""
    message_ids, wamids = zip(*reports, strict=True)
    rows = await connection.fetch(SETTLE_RESTORED, list(message_ids), list(wamids))
    return [Settled(head_of(row), Sent(row["wamid"])) for row in rows]


async def counts(pool: Pool, *, limit: int) -> list[asyncpg.Record]:
    """Rows of tenant_id, number_id, messages."""
    return await pool.fetch(COUNT_RESTORED, limit)
