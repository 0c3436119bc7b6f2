"""How uploads are claimed where very many wait, and how deleted files are found: by index."""

from __future__ import annotations

import asyncpg
import pytest

from services.sender.store import media
from shared.db.pool import service_url
from tests.support.database import Database

FILL = """
SET search_path = sender;
INSERT INTO media (tenant_id, media_id, object_key, mime_type, size_bytes, sha256)
SELECT 'tnt', 'med_' || n, 'key', 'image/png', 1, n FROM generate_series(1, 60000) n;
INSERT INTO media_uploads (number_id, sha256, mime_type, tenant_id, media_id)
SELECT 'num_' || CASE WHEN n > 59900 THEN n ELSE 0 END, n, 'image/png', 'tnt', 'med_' || n FROM generate_series(1, 60000) n;
INSERT INTO media_removals (number_id, handle, due_at) SELECT 'num_0', n, now() FROM generate_series(1, 60000) n;
ANALYZE media; ANALYZE media_uploads; ANALYZE media_removals;
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


@pytest.mark.parametrize(
    ("query", "arguments", "indexes"),
    [
        (media.LOCK_MEDIA, (["tnt"], ["med_1"]), ["media_pkey", "media_of_bytes"]),
        (media.DELETE_MEDIA, (["tnt"], ["med_1"]), ["media_pkey"]),
        (media.PASS_ON, (["tnt"], ["1"], ["image/png"], ["med_1"]), ["media_uploads_of_bytes"]),
        (media.DROP_UPLOADS, (["tnt"], ["1"], ["image/png"], None), ["media_uploads_of_bytes"]),
        (media.WANT_UPLOADS, (["num_1"], ["1"], ["image/png"], ["tnt"], ["med_1"], None), ["media_pkey"]),
        (media.CLAIM_REMOVAL, (None,), ["media_removals_due", "media_removals_pkey"]),
    ],
)
async def test_a_deletion_reads_what_it_is_about(
    database: Database, query: str, arguments: tuple[object, ...], indexes: list[str]
) -> None:
    admin = await asyncpg.connect(database.admin_url)
    await admin.execute(FILL)
    await admin.close()
    connection = await asyncpg.connect(service_url(database.settings_for("sender"), "sender"))
    try:
        shown = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {query}", *arguments))
    finally:
        await connection.close()
    assert [index for index in indexes if index not in shown] == [], shown
    assert "Seq Scan on media" not in shown, shown
