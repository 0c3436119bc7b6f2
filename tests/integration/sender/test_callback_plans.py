"""How the crew's statements go about their work where hundreds of thousands wait: by index, callback by callback."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg
import pytest

import services.sender.store.callback_deliveries as deliveries
from services.sender.store import callbacks
from shared.db.pool import service_url
from tests.support.database import Database

FILL = """
SET search_path = sender;
INSERT INTO callbacks (id, tenant_id, url, format, events, sealed_secret, state, created_at, updated_at)
SELECT 'cbk_' || n, 'tnt', 'https://example.com', 'standard', '{*}', '', 'enabled', now(), now() FROM generate_series(1, 100) n;
INSERT INTO callback_deliveries (id, callback_id, update_id, type, occurred_at, body, due_at, state, ended_at)
SELECT 'dlv_' || n, 'cbk_' || n % 100, 'upd_' || n, 'message.received', now(), '', now() - make_interval(secs => n % 1000),
    CASE n % 3 WHEN 0 THEN 'waiting' ELSE 'delivered' END, CASE n % 3 WHEN 0 THEN NULL ELSE now() END
FROM generate_series(1, 60000) n;
ANALYZE callbacks; ANALYZE callback_deliveries;
"""


@pytest.mark.parametrize(
    ("query", "arguments", "index"),
    [
        (callbacks.WAITING, (["cbk_1"], 500, None), "callback_deliveries_waiting"),
        (callbacks.WAITING, ([], 500, ["cbk_1", "cbk_2"]), "callback_deliveries_waiting"),
        (deliveries.CLAIM, (["cbk_1", "cbk_2"], [8, 8], 60.0), "callback_deliveries_waiting"),
        (deliveries.RECORD, ([],) * 7, "callback_deliveries_pkey"),
        (deliveries.PRUNE, ("delivered", 7, 100), "callback_deliveries_ended"),
        (deliveries.FAIL_WAITING, ("cbk_1", "x", 100), "callback_deliveries_waiting"),
        (callbacks.ENABLED, (["tnt"],), "callbacks"),
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
        shown = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {query}", *arguments))
    finally:
        await connection.close()
    assert index in shown, shown
    assert "Seq Scan on callback_deliveries" not in shown, shown
