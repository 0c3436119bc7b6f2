"""What the archive measures is what happens in it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from redis.asyncio import Redis

from services.archive.cache import Reads
from services.archive.metrics import add_sources
from services.archive.nearby import Nearby
from services.archive.statistics.counting import Delays
from shared.bus.memory import MemoryBus
from shared.cache import Cache
from shared.clock import SystemClock
from shared.db.pool import Pool
from shared.events.codec import encode
from shared.events.event import Event
from shared.telemetry.metrics import Metrics
from tests.integration.archive.importing import Importing, android, chat, importing
from tests.support.archive_events import echoed, edited, message_id, received, released
from tests.support.archive_search import SINCE, Said, counted, shelve
from tests.support.database import Database
from tests.support.platform import until
from tests.support.scraped import Page, ask_every_time, scraped


@pytest.fixture(autouse=True)
def _ask_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    ask_every_time(monkeypatch)


async def page_of(archive: Importing) -> Page:
    async with archive.session.get(f"{archive.url}/metrics") as answer:
        assert answer.status == 200
        return Page(await answer.text())


async def tell(bus: MemoryBus, *events: Event) -> None:
    """Returns when the service has settled them."""
    for batch in encode(events):
        await bus.publish(batch)


async def test_entries_are_counted_by_kind_and_how_late_they_were(database: Database, redis_url: str, tmp_path: Path) -> None:
    async with importing(database, redis_url, tmp_path) as archive:
        now = datetime.now(UTC)
        sent = [released(message_id()) for _ in range(3)]
        events: list[Event] = [*sent, received("wamid.1"), received("wamid.2"), echoed("wamid.3"), edited("wamid.1")]
        late = [event.model_copy(update={"occurred_at": now - timedelta(seconds=20)}) for event in events]
        await tell(archive.bus, *late)
        await tell(archive.bus, late[0].model_copy(update={"occurred_at": now}))
        page = await page_of(archive)

    kinds = {labels[0]: count for labels, count in page.series("chasqui_entries_recorded_total").items()}
    assert kinds == {"outgoing": 4, "incoming": 2, "echoed": 1, "amendment": 1, "imported": 0}, "one was told twice"
    batches = page("chasqui_record_lag_seconds_count")
    assert batches >= 2
    assert 20 * (batches - 1) <= page("chasqui_record_lag_seconds_sum") < 25 * batches


async def test_an_import_is_counted_as_it_goes(database: Database, redis_url: str, tmp_path: Path) -> None:
    data = android(chat(300))
    async with importing(database, redis_url, tmp_path) as archive:
        await archive.imported(data)
        page = await page_of(archive)
        assert page("chasqui_entries_recorded_total", "imported") == 300
        assert page("chasqui_import_bytes_total") == pytest.approx(2 * len(data), rel=0.01), "by the survey, and by the import"
        assert page("chasqui_imports_ended_total", "completed") == 1
        assert set(page.series("chasqui_imports").values()) == {0}
        assert page("chasqui_import_idle_seconds") == 0

        await archive.until(await archive.hand_over(data, preview="true"), "ready")
        page = await page_of(archive)
        assert page("chasqui_imports", "ready") == 1
        assert page("chasqui_import_idle_seconds") == 0, "it waits for its tenant"


async def test_an_import_that_stands_still_shows_for_how_long(pool: Pool) -> None:
    metrics = measured(pool)
    await pool.execute(
        "INSERT INTO imports (id, tenant_id, tenant_no, state, file_name, options, updated_at, leased_until)"
        " VALUES ('imp_1', 'tnt', 1, 'importing', 'a', '{}', now() - interval '10 minutes', now()),"
        " ('imp_2', 'tnt', 1, 'surveying', 'a', '{}', now(), now()),"
        " ('imp_3', 'tnt', 1, 'completed', 'a', '{}', now() - interval '1 day', now())"
    )
    page = await scraped(metrics)
    assert page("chasqui_imports", "importing") == page("chasqui_imports", "surveying") == 1
    assert 600 <= page("chasqui_import_idle_seconds") < 660


async def test_searches_are_timed_by_kind(database: Database, redis_url: str, tmp_path: Path) -> None:
    async with importing(database, redis_url, tmp_path) as archive:
        for query in ({"q": "a"}, {"q": "a", "order": "relevance"}, {"q": "abcdef", "typos": "true"}):
            await archive.get("/api/search", **query)
        await archive.ask("GET", "/api/search", query={"q": "a", "conversation_id": "cnv_00000000000000000000000000"})
        page = await page_of(archive)

    assert {labels[0]: count for labels, count in page.series("chasqui_search_duration_seconds_count").items()} == {
        "newest": 2,
        "relevance": 1,
        "near": 1,
    }


async def test_what_readers_find_is_told_by_level(database: Database, redis_url: str, tmp_path: Path) -> None:
    async with importing(database, redis_url, tmp_path) as archive:

        async def is_near() -> bool:
            await archive.get("/api/conversations")
            return (await page_of(archive))("chasqui_cache_reads_total", "answers.process", "hit") > 0

        await until(is_near, "an answer from the process's own cache")
        page = await page_of(archive)

    assert page("chasqui_cache_reads_total", "answers", "hit") > 0
    assert page("chasqui_cache_reads_total", "answers", "miss") >= 1
    assert page("chasqui_cache_reads_total", "answers.redis", "miss") >= 1
    assert page("chasqui_cache_reads_total", "answers.redis", "away") == 0


async def test_an_export_is_counted_when_it_is_done(database: Database, redis_url: str, tmp_path: Path) -> None:
    async with importing(database, redis_url, tmp_path) as archive:
        await archive.imported(android(chat(3)))
        status, made, _ = await archive.ask("POST", "/api/exports", json={"format": "csv", "everything": True})
        assert status == 202, made

        async def is_done() -> bool:
            return (await page_of(archive))("chasqui_exports_ended_total", "completed") == 1

        await until(is_done, "the export")
        page = await page_of(archive)
        assert page("chasqui_exports", "queued") == page("chasqui_exports", "running") == 0


async def test_exports_that_wait_have_an_age(pool: Pool) -> None:
    metrics = measured(pool)
    await pool.execute(
        "INSERT INTO exports (id, tenant_id, format, scope, state, created_at, lease_until)"
        " VALUES ('exp_1', 'tnt', 'csv', '{}', 'queued', now() - interval '5 minutes', NULL),"
        " ('exp_2', 'tnt', 'csv', '{}', 'running', now(), now())"
    )
    page = await scraped(metrics)
    assert page("chasqui_exports", "queued") == page("chasqui_exports", "running") == 1
    assert 300 <= page("chasqui_export_oldest_age_seconds") < 360


async def test_a_follower_lags_by_what_it_has_not_come_to(pool: Pool) -> None:
    metrics = measured(pool)
    await shelve(pool, [Said("car", SINCE)])
    page = await scraped(metrics)
    assert 0 < page("chasqui_follower_lag_seconds", "lexicon") < 60
    assert 0 < page("chasqui_follower_lag_seconds", "statistics") < 60

    await counted(pool)
    page = await scraped(metrics)
    assert page("chasqui_follower_lag_seconds", "lexicon") == 0
    assert page("chasqui_follower_lag_seconds", "statistics") > 0
    assert ("annotations",) not in page.series("chasqui_follower_lag_seconds"), "nobody annotates"


async def test_days_and_words_lag_by_more_than_their_delay(pool: Pool) -> None:
    metrics = measured(pool)
    await pool.execute(
        "INSERT INTO stale_days (conversation_no, day, marked_at) VALUES"
        " (1, '2026-01-01', '-infinity'), (2, '2026-01-01', 'epoch'), (3, '2026-01-01', now() - interval '100 seconds')"
    )
    await pool.execute(
        "INSERT INTO stale_months (conversation_no, month, marked_at) VALUES (1, '2026-01-01', now() - interval '100 seconds')"
    )
    page = await scraped(metrics)
    assert 40 <= page("chasqui_follower_lag_seconds", "statistics.days") < 70
    assert page("chasqui_follower_lag_seconds", "statistics.words") == 0


def measured(pool: Pool) -> Metrics:
    """What the archive is asked for, without the service; days may be counted after a minute, words after ten."""
    metrics = Metrics("archive")
    reads = Reads(Cache(Redis()), Nearby(1 << 20, 60))  # nobody reads
    add_sources(metrics, pool, reads, Delays(60, 600), SystemClock(), is_annotating=False)
    return metrics
