"""A scrape reads some rows by index, however many there are."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg
import pytest

from services.sender.store import metrics
from shared.db.pool import service_url
from tests.support.database import Database

FILL = """
SET search_path = sender;
INSERT INTO callbacks (id, tenant_id, url, format, events, sealed_secret, state, created_at, updated_at)
SELECT 'cbk_' || n, 'tnt', 'https://example.com', 'standard', '{*}', '', 'enabled', now(), now() FROM generate_series(1, 2000) n;
INSERT INTO callback_deliveries (id, callback_id, update_id, type, occurred_at, body, due_at, state, ended_at)
SELECT 'dlv_' || n, 'cbk_' || n % 100, 'upd_' || n, 'message.received', now(), '', now() - make_interval(secs => n % 1000),
    CASE n % 3 WHEN 0 THEN 'waiting' ELSE 'delivered' END, CASE n % 3 WHEN 0 THEN NULL ELSE now() END
FROM generate_series(1, 60000) n;
INSERT INTO attempts (message_id, attempt, tenant_id, number_id, instance, lease_until, state, settled_at, code)
SELECT 'msg_' || n, 1, 'tnt', 'num', 'i', now(),
    CASE n % 50 WHEN 0 THEN 'unknown' ELSE 'sent' END, now() - make_interval(secs => n),
    CASE n % 50 WHEN 0 THEN 'connection.TimeoutError' END
FROM generate_series(1, 60000) n;
INSERT INTO numbers (number_id, tenant_id, revision, phone_number_id, provider_url, sealed_access_token, messages_per_second,
                     paused)
SELECT 'num_' || n, 'tnt', 1, n::text, 'https://example.com', repeat('x', 300), 80, CASE n % 500 WHEN 0 THEN 'provider.190' END
FROM generate_series(1, 20000) n;
ANALYZE callbacks; ANALYZE callback_deliveries; ANALYZE attempts; ANALYZE numbers;
"""


@pytest.mark.parametrize(
    ("query", "arguments", "index"),
    [
        (metrics.PAUSED_NUMBERS, (), "numbers_paused"),
        (metrics.UNKNOWN_ATTEMPTS, (metrics.MOST,), "attempts_unknown"),
        (metrics.WAITING_DELIVERIES, (metrics.MOST,), "callback_deliveries_waiting"),
        (metrics.OLDEST_DUE_DELIVERY, (metrics.MOST_CALLBACKS,), "callback_deliveries_waiting"),
        (metrics.FAILING_CALLBACKS, (), "callbacks_failing"),
    ],
)
async def test_a_statement_has_an_index_to_go_by(
    query: str, arguments: Sequence[object], index: str, database: Database
) -> None:
    admin = await asyncpg.connect(database.admin_url)
    await admin.execute(FILL)
    await admin.close()
    connection = await asyncpg.connect(service_url(database.settings_for("sender"), "sender"))
    try:
        await connection.execute("SET plan_cache_mode = force_generic_plan")
        shown = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN (ANALYZE, BUFFERS) {query}", *arguments))
    finally:
        await connection.close()
    assert index in shown, shown
    for table in ("numbers", "attempts", "callback_deliveries"):
        assert f"Seq Scan on {table}" not in shown, shown
