"""The analytics as they are asked for over HTTP, and how their statements are carried out on a large archive."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import date
from typing import Any, Final
from zoneinfo import ZoneInfo

import aiohttp
import asyncpg
import pytest
from pydantic import SecretStr

from services.archive.cache import Changes, Reads
from services.archive.domain.statistics import zone_days
from services.archive.nearby import CHANNEL, Nearby
from services.archive.record import Recorder
from services.archive.routes import analytics
from services.archive.routes.kept import Answers
from services.archive.statistics import counting
from services.archive.statistics.counting import AT_ONCE
from services.archive.store import annotations as annotation_store
from services.archive.store import statistics as store
from services.archive.tenants import Tenants
from shared.cache import Cache
from shared.config import RedisSettings, TelemetrySettings
from shared.db.pool import Pool
from shared.events.values import DeliveryStatus
from shared.http.internal import internal
from shared.http.routes import Access
from shared.http.server import HttpServer
from shared.ids import TenantId
from shared.redis import open_redis
from shared.telemetry.tracing import Tracing
from tests.support.archive_events import OTHER_TENANT, TENANT, message_id, received, released, reported, sent
from tests.support.database import Database
from tests.support.following import catch_up, follow

TOKEN: Final = "a token that the services share"


@dataclass(frozen=True)
class Asker:
    url: str
    session: aiohttp.ClientSession
    reads: Reads
    changes: Changes

    async def get(self, path: str, query: Mapping[str, str] | None = None, tenant: TenantId = TENANT) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {TOKEN}", "X-Chasqui-Tenant": tenant}
        async with self.session.get(self.url + path, params=query or {}, headers=headers) as response:
            return response.status, await response.json(content_type=None)


@pytest.fixture
async def asker(pool: Pool, tenants: Tenants, redis_url: str) -> AsyncIterator[Asker]:
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(open_redis(RedisSettings(url=redis_url)))
        cache, nearby = Cache(redis, channel=CHANNEL), Nearby(1 << 20, 60)
        reads = Reads(cache, nearby)
        answers = Answers(reads, conversation_seconds=900, list_seconds=300)
        tracing = Tracing("archive", TelemetrySettings())
        stack.callback(tracing.close)
        http = HttpServer(
            "archive",
            analytics.routes(pool, tenants, answers, seconds=3_600),
            host="127.0.0.1",
            port=0,
            authenticate={Access.INTERNAL: internal(SecretStr(TOKEN))},
            tracing=tracing,
            readiness={},
            title="Archive",
            version="1",
        )
        stack.push_async_callback(http.close)
        await http.start()
        session = await stack.enter_async_context(aiohttp.ClientSession())
        yield Asker(f"http://127.0.0.1:{http.port}", session, reads, Changes(cache, nearby))


@pytest.fixture
async def conversation_id(pool: Pool, recorder: Recorder) -> str:
    """A conversation of three messages on two days."""
    message = message_id()
    await recorder.record(
        [
            received("w1", "Where is my parcel? 😀"),
            released(message, "On its way", seconds=100),
            sent(message, "s1"),
            reported(message, "s1", DeliveryStatus.READ, seconds=200),
            received("w2", seconds=86_400, content={"type": "image", "image": {}}),
        ]
    )
    await catch_up(pool)
    return str(await pool.fetchval("SELECT id FROM conversations"))


async def test_a_conversation_comes_to_what_was_said_in_it(asker: Asker, conversation_id: str) -> None:
    status, said = await asker.get(f"/api/conversations/{conversation_id}/analytics")
    assert status == 200
    assert said["range"] == {"from": "2026-11-20", "to": "2026-11-21", "time_zone": "UTC"}
    assert said["totals"] == {
        "messages": 3, "incoming": 2, "outgoing": 1, "notices": 0, "active_days": 2, "average_length": pytest.approx(15.5)
    }  # fmt: skip
    assert said["days"][0] == {"date": "2026-11-20", "incoming": 1, "outgoing": 1}
    assert said["hours"][12] == 3
    assert said["weekdays"] == [0, 0, 0, 0, 2, 1, 0]
    assert said["heatmap"][4][12] == 2
    assert said["response_times"]["business"]["median_seconds"] == pytest.approx(100, rel=0.06)
    assert said["delivery"] == {"sent": 1, "delivered": 1, "read": 1, "failed": 0, "delivered_rate": 1, "read_rate": 1}
    assert said["types"][0] == {"name": "text", "messages": 2, "share": pytest.approx(2 / 3)}
    assert said["media_share"] == pytest.approx(1 / 3)
    assert said["words"][0] == {"term": "parcel", "messages": 1}
    assert said["emoji"] == [{"term": "😀", "messages": 1}]
    assert [(author["is_business"], author["messages"]) for author in said["authors"]] == [(False, 2), (True, 1)]
    assert said["longest_streak"] == {"days": 2, "from": "2026-11-20", "to": "2026-11-21"}
    assert said["longest_silence"]["seconds"] == 86_300
    assert said["all_time"]["message_count"] == 3
    assert said["languages"] == []


async def test_all_conversations_come_to_their_sum(asker: Asker, conversation_id: str) -> None:
    status, said = await asker.get("/api/analytics", {"from": "2026-11-21", "time_zone": "Europe/Madrid"})
    assert status == 200
    assert said["range"] == {"from": "2026-11-21", "to": "2026-11-21", "time_zone": "Europe/Madrid"}
    assert said["totals"]["messages"] == 1
    assert said["hours"][13] == 1
    assert said["busiest"][0]["conversation_id"] == conversation_id
    assert said["busiest"][0]["message_count"] == 3


async def test_analytics_are_kept_until_they_are_counted_anew(
    asker: Asker, pool: Pool, recorder: Recorder, conversation_id: str
) -> None:
    paths = ("/api/analytics", f"/api/conversations/{conversation_id}/analytics")

    async def messages() -> list[int]:
        return [(await asker.get(path, {"time_zone": "Europe/Madrid"}))[1]["totals"]["messages"] for path in paths]

    def misses() -> int:
        counts: Any = asker.reads.counts
        return int(counts["redis"]["misses"])

    assert await messages() == [3, 3]
    known = misses()
    assert await messages() == [3, 3]
    assert misses() == known
    await recorder.record([received("w3")])
    await follow(pool, counting.follower(pool))
    assert await messages() == [3, 3]
    while await counting.count_days(pool, AT_ONCE, asker.changes):
        pass
    assert await messages() == [4, 4]
    words = {"from": "2026-11-01"}
    for path in paths:
        await asker.get(path, words)
    await recorder.record([received("w4", "unheard", seconds=50)])
    await follow(pool, counting.follower(pool))
    while await counting.count_days(pool, AT_ONCE, asker.changes):
        pass
    assert "unheard" not in str(await asker.get(paths[1], words))
    while await counting.count_words(pool, AT_ONCE, asker.changes):
        pass
    assert "unheard" in str(await asker.get(paths[1], words))


async def test_kept_analytics_are_told_to_nobody_else(asker: Asker, conversation_id: str) -> None:
    path = f"/api/conversations/{conversation_id}/analytics"
    assert (await asker.get(path))[0] == 200
    assert (await asker.get(path, tenant=OTHER_TENANT))[0] == 404
    assert (await asker.get(path, tenant=OTHER_TENANT))[0] == 404


async def test_nothing_of_another_tenant_is_told(asker: Asker, conversation_id: str) -> None:
    status, said = await asker.get(f"/api/conversations/{conversation_id}/analytics", tenant=OTHER_TENANT)
    assert (status, said["code"]) == (404, "conversation.unknown")
    status, said = await asker.get("/api/analytics", tenant=OTHER_TENANT)
    assert (status, said["totals"]["messages"], said["busiest"], said["range"]) == (200, 0, [], {"time_zone": "UTC"})


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"time_zone": "Mars/Olympus"}, "/time_zone"),
        ({"time_zone": "../../etc/passwd"}, "/time_zone"),
        ({"time_zone": "a\x00b"}, "/time_zone"),
        ({"from": "2026-13-01"}, "/from"),
        ({"from": "0001-01-01"}, "/from"),
        ({"to": "9999-12-31"}, "/to"),
        ({"from": "2026-02-01", "to": "2026-01-01"}, ""),
        ({"surprise": "1"}, "/surprise"),
    ],
)
async def test_what_cannot_be_meant_is_refused(asker: Asker, query: dict[str, str], pointer: str) -> None:
    status, said = await asker.get("/api/analytics", query)
    assert status == 422
    assert said["errors"][0]["pointer"] == pointer


async def test_a_range_without_messages_is_empty(asker: Asker, conversation_id: str) -> None:
    for query in ({"from": "2027-01-01"}, {"to": "2009-01-02"}, {"from": "2026-11-22", "to": "2026-11-23"}):
        status, said = await asker.get(f"/api/conversations/{conversation_id}/analytics", query)
        assert (status, said["totals"]["messages"], said["days"]) == (200, 0, [])


MANY: Final = """
SET search_path = archive;
SELECT ensure_month('2026-11-01');
INSERT INTO tenants (tenant_id) VALUES ('tnt_x');
INSERT INTO search_rows (stored_in, sent_at, conversation_no, tenant_no, is_outgoing, entry_id, type, body, tsv)
SELECT n / 10, '2026-11-01Z'::timestamptz + n * interval '10 s', n % 500, 1, n % 2 = 0, 'ent_' || n, 'text', 'word',
       '''1:word'''::tsvector
FROM generate_series(1, 100000) AS n;
INSERT INTO entries (id, sent_at, tenant_id, conversation_id, direction, message_id, type, content)
SELECT entry_id, sent_at, 'tnt_x', 'cnv_' || conversation_no, 'outgoing', 'msg_' || entry_id, 'text', '{}' FROM search_rows;
INSERT INTO outgoing (tenant_id, message_id, height, status, status_at)
SELECT tenant_id, message_id, 1, 'sent', sent_at FROM entries;
INSERT INTO annotations (entry_id, sent_at, conversation_no, state, model)
SELECT entry_id, sent_at, conversation_no, CASE WHEN row_no % 1000 = 0 THEN 'stale' ELSE 'done' END, 'm' FROM search_rows;
INSERT INTO stale_days (conversation_no, day, marked_at)
SELECT n % 500, '2026-01-01'::date + n / 500, now() + n * interval '1 s' FROM generate_series(1, 50000) AS n;
INSERT INTO stale_months (conversation_no, month, marked_at)
SELECT n, '2026-01-01', now() + n * interval '1 s' FROM generate_series(1, 50000) AS n;
INSERT INTO day_statistics (subject, day, tenant_no, counts, recheck_at)
SELECT n / 200, '2026-01-01'::date + n % 200, 1, '{"i:4": 2, "t:text": 2}',
       CASE WHEN n % 100 = 0 THEN now() + n * interval '1 s' END
FROM generate_series(1, 50000) AS n;
INSERT INTO conversation_stats (conversation_no, tenant_no, message_count, participant_count)
SELECT n, n % 5, n, 2 FROM generate_series(1, 20000) AS n;
INSERT INTO month_words (conversation_no, month, words, emoji)
SELECT n / 10, '2026-01-01'::date + n % 10 * 31, '{}', '{}' FROM generate_series(1, 20000) AS n;
ANALYZE;
"""
DAY: Final = date(2026, 11, 5)
ZONE: Final = [list(column) for column in zip(*zone_days(ZoneInfo("UTC"), DAY, date(2026, 11, 9)), strict=True)]


async def test_no_statement_reads_more_than_it_is_asked_for(database: Database, pool: Pool) -> None:
    admin = await asyncpg.connect(database.admin_url)
    await admin.execute(MANY)
    await admin.close()
    hot: tuple[tuple[str, str, tuple[object, ...]], ...] = (
        (store.MARK_DAYS, "search_rows_by_transaction", (10, 20)),
        (store.MARK_DAYS_TO_RECHECK, "day_statistics_to_recheck", (200,)),
        (store.TAKE_STALE_DAYS, "stale_days_by_time", (60, 200, 1_000)),
        (store.TAKE_STALE_DAYS, "search_rows_by_conversation", (60, 200, 1_000)),
        (store.RECOUNT_DAYS, "search_rows_by_conversation", ([7, 8], [DAY, DAY], [DAY, DAY])),
        (store.RECOUNT_DAYS, "outgoing_pkey", ([7, 8], [DAY, DAY], [DAY, DAY])),
        (store.RECOUNT_DAYS, "annotations_pkey", ([7, 8], [DAY, DAY], [DAY, DAY])),
        (store.REFRESH_CONVERSATION_STATS, "day_statistics_pkey", ([7, 8],)),
        (store.TAKE_STALE_MONTHS, "stale_months_by_time", (60, 50)),
        (store.COUNT_TERMS, "search_rows_by_conversation", ([7], [date(2026, 11, 1)], 1_000)),
        (store.DAY_BOUNDS, "day_statistics_pkey", (7,)),
        (store.TOTAL_COUNTS, "day_statistics_pkey", (7, DAY, DAY)),
        (store.LOCAL_COUNTS, "day_statistics_pkey", (7, DAY, DAY, *ZONE)),
        (store.MOODS_BY_DAY, "day_statistics_pkey", (7, DAY, DAY)),
        (store.LONGEST_SILENCE, "day_statistics_pkey", (7, DAY, DAY)),
        (store.TOP_WORDS, "month_words_pkey", (7, DAY, DAY, 50)),
        (store.BUSIEST_CONVERSATIONS, "conversation_stats_busiest", (1, 50)),
        (annotation_store.TEXTS_TO_ANNOTATE, "search_rows_by_transaction", (10, 20)),
        (annotation_store.TEXTS_TO_ANNOTATE_AGAIN, "annotations_stale", (1_000,)),
    )
    large = ("search_rows", "entries_2026_11", "outgoing", "annotations", "stale_days", "stale_months", "day_statistics")
    async with pool.acquire() as connection:
        for mode in ("force_custom_plan", "force_generic_plan"):
            await connection.execute(f"SET plan_cache_mode = {mode}")
            for text, index, arguments in hot:
                rows = await connection.fetch(f"EXPLAIN {text}", *arguments)
                shown = "\n".join(row[0] for row in rows)
                assert index in shown, f"{mode}\n{text}\n{shown}"
                for table in large:
                    assert f"Seq Scan on {table}" not in shown, f"{mode}\n{text}\n{shown}"
        await connection.execute("RESET plan_cache_mode")
