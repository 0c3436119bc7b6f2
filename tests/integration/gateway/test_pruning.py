"""What is old is forgotten, a bounded number of rows at a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from services.gateway import jobs
from services.gateway.store.pruning import PRUNE_INBOUND, PRUNE_QUARANTINED, prune
from shared import idempotency
from shared.db.pool import Pool

KEYS: Final = "INSERT INTO idempotency_keys (tenant_id, route, key, fingerprint, created_at) VALUES ('t', 'r', $1, '', $2)"
INBOUND: Final = "INSERT INTO inbound (number_id, wamid, received_at) VALUES ('n', $1, $2)"
WEBHOOKS: Final = "INSERT INTO webhooks (tenant_id, body, quarantined, received_at) VALUES ('t', '', $1, $2)"


@pytest.mark.parametrize(
    ("query", "insert", "count", "age"),
    [
        (PRUNE_INBOUND, INBOUND, "SELECT count(*) FROM inbound", jobs.INBOUND_KEPT),
        (PRUNE_QUARANTINED, WEBHOOKS, "SELECT count(*) FROM webhooks", jobs.QUARANTINED_KEPT),
    ],
)
async def test_old_rows_go_by_the_limit_until_there_are_no_more(
    query: str, insert: str, count: str, age: timedelta, pool: Pool
) -> None:
    now = datetime.now(UTC)
    old, fresh = now - age - timedelta(minutes=1), now - age + timedelta(minutes=1)
    await pool.executemany(insert, [(f"old {index}", old) for index in range(5)] + [("fresh", fresh)])
    left = []
    while await prune(pool, query, age=age, limit=2):
        left.append(await pool.fetchval(count))
    assert left == [4, 2]
    assert await pool.fetchval(count) == 1


async def test_old_keys_go_too(pool: Pool) -> None:
    now = datetime.now(UTC)
    old, fresh = now - idempotency.KEPT - timedelta(minutes=1), now - idempotency.KEPT + timedelta(minutes=1)
    await pool.executemany(KEYS, [("old 1", old), ("old 2", old), ("old 3", old), ("fresh", fresh)])
    assert await idempotency.prune(pool, limit=2)
    assert not await idempotency.prune(pool, limit=2)
    assert await pool.fetchval("SELECT key FROM idempotency_keys") == "fresh"


async def test_a_payload_that_waits_is_not_forgotten_however_old(pool: Pool) -> None:
    await pool.execute(WEBHOOKS, None, datetime(2020, 1, 1, tzinfo=UTC))
    assert not await prune(pool, PRUNE_QUARANTINED, age=jobs.QUARANTINED_KEPT, limit=2)
    assert await pool.fetchval("SELECT count(*) FROM webhooks") == 1
