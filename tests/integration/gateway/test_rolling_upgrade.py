"""Timelines move from a table of their own into the messages' rows; meanwhile both versions of the gateway run."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import asyncpg

from services.gateway.domain.timeline import entries_of
from tests.integration.gateway.serving import Gateway, Tenant
from tests.support.database import Database

MIGRATION: Final = Path(__file__).resolve().parents[3] / "services/gateway/migrations/0003_carry_timelines_over.sql"
FORMER_MESSAGE: Final = """
INSERT INTO gateway.messages (id, tenant_id, number_id, recipient, content, tier, status, status_rank)
SELECT 'msg_' || lpad(n::text, 26, '0'), $1, 'num_x', '+15551234567', '{"type": "text"}', 2, 'sent', 50
FROM generate_series(1, $2) n
"""
FORMER_TIMELINE: Final = """
INSERT INTO gateway.timeline (message_id, status, at, code)
SELECT id, e.status, timestamptz '2026-11-20 10:00:00+00' + make_interval(secs => e.seconds), e.code
FROM gateway.messages, (VALUES ('accepted', 0.5, NULL), ('scheduled', 1.25, 'provider.130429'), ('sent', 2, NULL))
    AS e (status, seconds, code)
WHERE id = ANY(SELECT id FROM gateway.messages WHERE tenant_id = $1 ORDER BY id LIMIT $2)
"""
COUNT: Final = 5_100
"""More than the migration takes at a time."""
LINES: Final = (
    "accepted 2026-11-20T10:00:00.500000Z\nscheduled 2026-11-20T10:00:01.250000Z provider.130429\nsent 2026-11-20T10:00:02Z\n"
)


async def statuses(gateway: Gateway, tenant: Tenant, message: str) -> list[str]:
    answer = await gateway.call("GET", f"/api/messages/{message}", tenant=tenant)
    return [entry["status"] for entry in answer.body["timeline"]]


async def test_timelines_are_carried_over_once_and_nothing_else_is_touched(gateway: Gateway, database: Database) -> None:
    tenant = await gateway.new_tenant()
    await gateway.connect(tenant, "1001")
    ours = await gateway.send(tenant)
    admin = await asyncpg.connect(database.admin_url)
    try:
        await admin.execute(FORMER_MESSAGE, tenant.tenant_id, COUNT)
        await admin.execute(FORMER_TIMELINE, tenant.tenant_id, COUNT - 1)
        await admin.execute("SET search_path = gateway")
        versions = []
        for _ in range(2):
            await admin.execute(MIGRATION.read_text())
            versions.append(await admin.fetchval("SELECT md5(string_agg(xmin::text, ',' ORDER BY id)) FROM messages"))
        kept = await admin.fetch("SELECT timeline, count(*) FROM messages WHERE id <> $1 GROUP BY 1", ours)
    finally:
        await admin.close()
    assert dict(kept) == {LINES: COUNT - 1, "": 1}
    assert [entry.status for entry in entries_of(LINES)] == ["accepted", "scheduled", "sent"]
    assert versions[0] == versions[1]
    assert await statuses(gateway, tenant, ours) == ["accepted"]


async def test_what_a_former_version_writes_beside_the_row_is_shown_too_and_nothing_twice(
    gateway: Gateway, database: Database
) -> None:
    tenant = await gateway.new_tenant()
    admin = await asyncpg.connect(database.admin_url)
    try:
        await admin.execute(FORMER_MESSAGE, tenant.tenant_id, 1)
        await admin.execute(FORMER_TIMELINE, tenant.tenant_id, 1)
        message = await admin.fetchval("UPDATE gateway.messages SET timeline = $1 RETURNING id", LINES.splitlines(True)[0])
    finally:
        await admin.close()
    assert await statuses(gateway, tenant, message) == ["accepted", "scheduled", "sent"]
