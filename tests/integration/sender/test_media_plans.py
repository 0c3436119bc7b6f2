"""How uploads are claimed where very many wait: by index, number by number."""

from __future__ import annotations

import asyncpg

from services.sender.store import media
from shared.db.pool import service_url
from tests.support.database import Database

FILL = """
SET search_path = sender;
INSERT INTO media (tenant_id, media_id, object_key, mime_type, size_bytes, sha256)
SELECT 'tnt', 'med_' || n, 'key', 'image/png', 1, n FROM generate_series(1, 60000) n;
INSERT INTO media_uploads (number_id, sha256, mime_type, tenant_id, media_id)
SELECT 'num_' || CASE WHEN n > 59900 THEN n ELSE 0 END, n, 'image/png', 'tnt', 'med_' || n FROM generate_series(1, 60000) n;
ANALYZE media; ANALYZE media_uploads;
"""


async def test_a_claim_reads_few_rows_however_many_wait(database: Database) -> None:
    admin = await asyncpg.connect(database.admin_url)
    await admin.execute(FILL)
    await admin.close()
    connection = await asyncpg.connect(service_url(database.settings_for("sender"), "sender"))
    try:
        await connection.execute("SET plan_cache_mode = force_generic_plan")
        shown = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {media.CLAIM_UPLOAD}", 4, None, 1.0))
    finally:
        await connection.close()
    assert "media_uploads_due" in shown, shown
    assert "media_uploads_held" in shown, shown
    assert "Seq Scan on media" not in shown, shown
