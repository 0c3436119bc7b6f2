"""What the sender measures is what happens in it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from aiohttp import web

from services.sender.limits import LimitSettings
from services.sender.store import metrics as store
from shared.events.values import Profile, Tier
from shared.ids import NumberId
from shared.limits.breaker import BreakerPolicy
from tests.integration.sender import callbacks_scene
from tests.integration.sender.scene import NUMBER, accepted, refusing, released, scene
from tests.support.database import Database
from tests.support.platform import until
from tests.support.scraped import ask_every_time, scraped


@pytest.fixture(autouse=True)
def _ask_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    ask_every_time(monkeypatch)


async def test_calls_are_counted_by_outcome_and_code_and_their_time_by_provider(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        there.provider.answers_to = {"+1": refusing(131026), "+2": refusing(130429, 429), "+3": refusing(2, 503)}
        await there.delivery.take([released(to=to) for to in ("+1", "+2", "+3", "+4", "+5")])
        await there.until_settled(5)
        page = await scraped(there.metrics)

    assert page.series("chasqui_attempts_total") == {
        ("sent", ""): 2,
        ("failed", "provider.131026"): 1,
        ("deferred", "provider.130429"): 1,
        ("deferred", "provider.2"): 1,
    }
    assert page("chasqui_provider_request_duration_seconds_count", "cloud_api") == 5
    assert page("chasqui_provider_request_duration_seconds_sum", "cloud_api") > 0


async def test_an_attempt_that_is_told_twice_is_counted_once(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        event = released()
        await there.delivery.take([event])
        await there.until_settled(1)
        await there.delivery.take([event])

        assert (await scraped(there.metrics))("chasqui_attempts_total", "sent", "") == 1


async def test_what_is_not_called_for_is_counted_apart_by_the_reason(database: Database, tmp_path: Path) -> None:
    async with scene(
        database, tmp_path, limits=LimitSettings(b"secret", per_minute=(1, 1, 1, 1)), profile=Profile.DEVICE
    ) as there:
        await there.delivery.take([released(tier=Tier.LOW) for _ in range(4)])
        await there.until_settled(4)
        await there.connect(paused="connection.blocked")
        await there.delivery.take([released(), released(content={"type": "image", "image": {"id": "med_gone"}})])
        await there.until_settled(6)
        page = await scraped(there.metrics)

    assert page("chasqui_attempts_total", "sent", "") == 1
    assert page("chasqui_attempts_unmade_total", "limit.tier") == 3
    assert page("chasqui_attempts_unmade_total", "number.paused") == 2
    assert page("chasqui_numbers_paused", "connection.blocked") == 1


async def test_what_waits_and_what_is_in_call_have_a_tier_and_an_age(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path, concurrency=1, per_number=1) as there:
        let_go = asyncio.Event()

        async def slow(attempt: str) -> web.Response:
            await let_go.wait()
            return await accepted(attempt)

        there.provider.answer = slow
        long_ago = datetime.now(UTC) - timedelta(seconds=90)
        await there.delivery.take([released(tier=Tier.CRITICAL, occurred_at=long_ago)])
        await until(lambda: there.provider.got, "the call")
        await there.delivery.take([released(tier=Tier.LOW), released(tier=Tier.LOW)])
        page = await scraped(there.metrics)
        assert page("chasqui_sender_messages", "critical", "in_call") == 1
        assert page("chasqui_sender_messages", "low", "waiting") == 2
        assert page("chasqui_sender_messages", "normal", "waiting") == 0
        assert 90 <= page("chasqui_sender_oldest_unsent_age_seconds", "critical") < 120
        assert 0 < page("chasqui_sender_oldest_unsent_age_seconds", "low") < 30
        assert page("chasqui_sender_oldest_unsent_age_seconds", "normal") == 0

        let_go.set()
        await there.until_settled(3)
        page = await scraped(there.metrics)
        assert page("chasqui_sender_oldest_unsent_age_seconds", "critical") == 0
        assert page("chasqui_sender_messages", "low", "waiting") == page("chasqui_sender_messages", "critical", "in_call") == 0


async def test_a_number_shows_its_pace_its_share_of_it_and_its_headroom(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path, messages_per_second=80, calls_per_hour=1_000) as there:
        await there.delivery.take([released()])
        await there.until_settled(1)
        page = await scraped(there.metrics)
        assert page("chasqui_number_rate_per_second", NUMBER) == pytest.approx(78)
        assert page("chasqui_number_rate_share", NUMBER) == 1
        rested = page("chasqui_number_headroom_ratio", NUMBER)
        assert 0 < rested <= 1

        there.provider.answer = refusing(130429, 429)
        await there.delivery.take([released()])
        await there.until_settled(2)

        async def is_slower() -> bool:
            return (await scraped(there.metrics))("chasqui_number_rate_share", NUMBER) < 1

        await until(is_slower, "the throttled number to be slower")


async def test_calls_that_fill_the_hour_leave_less_headroom(database: Database, tmp_path: Path) -> None:
    """Twenty may be made at once; ten are."""
    async with scene(database, tmp_path, calls_per_hour=1_000) as there:
        await there.delivery.take([released(tier=Tier.CRITICAL) for _ in range(10)])
        await there.until_settled(10)

        assert (await scraped(there.metrics))("chasqui_number_headroom_ratio", NUMBER) == pytest.approx(0.5, abs=0.1)


async def test_of_very_many_numbers_those_with_most_in_hand_are_shown_and_those_whose_breaker_is_open(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.sender.metrics.MOST_NUMBERS", 2)
    monkeypatch.setattr("services.sender.metrics._AT_ONCE", 1)
    async with scene(database, tmp_path, breaker=BreakerPolicy(threshold=2)) as there:
        for number in ("num_idle", "num_waiting", "num_calling"):
            await there.connect(NumberId(number))
        elsewhere = there.url.replace("127.0.0.1", "localhost")  # a provider of its own, to be broken
        await there.connect(NumberId("num_broken"), provider_url=elsewhere)
        there.provider.answers_to = {"+2": refusing(2, 503)}
        for count in (1, 2, 3):
            await there.delivery.take([released(to="+2", number_id="num_broken")])
            await there.until_settled(count)
        await there.delivery.take([released(number_id="num_idle")])
        await there.until_settled(4)
        let_go = asyncio.Event()

        async def slow(attempt: str) -> web.Response:
            await let_go.wait()
            return await accepted(attempt)

        there.provider.answer = slow
        await there.delivery.take([released(number_id="num_calling"), *(released(number_id="num_waiting") for _ in range(2))])
        page = await scraped(there.metrics)
        let_go.set()
        await there.until_settled(7)

    assert set(page.series("chasqui_number_rate_share")) == {("num_waiting",), ("num_calling",)}
    shown = {name: state for (name,), state in page.series("chasqui_breaker_state").items() if name.startswith("num_")}
    assert shown == {"num_broken": 2, "num_waiting": 0, "num_calling": 0}


async def test_a_number_that_is_not_in_use_is_left_out(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        page = await scraped(there.metrics)

    for name in ("chasqui_number_rate_per_second", "chasqui_number_rate_share", "chasqui_number_headroom_ratio"):
        assert page.series(name) == {}


async def test_breakers_are_named_by_number_and_provider(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path, breaker=BreakerPolicy(threshold=2)) as there:
        there.provider.answer = refusing(2, 503)
        await there.delivery.take([released()])
        await there.until_settled(1)
        address = there.url.rstrip("/")
        page = await scraped(there.metrics)
        assert page("chasqui_breaker_state", NUMBER) == page("chasqui_breaker_state", address) == 0

        for count in (2, 3):
            await there.delivery.take([released()])
            await there.until_settled(count)
        page = await scraped(there.metrics)
        assert page("chasqui_breaker_state", NUMBER) == page("chasqui_breaker_state", address) == 2


async def test_the_numbers_records_are_a_cache(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        for _ in range(3):
            await there.delivery.take([released()])
        await there.until_settled(3)
        page = await scraped(there.metrics)

    assert page("chasqui_cache_reads_total", "numbers", "miss") == 1
    assert page("chasqui_cache_reads_total", "numbers", "hit") == 2


async def test_unknown_outcomes_are_counted_until_they_are_told_as_such(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:

        async def silent(_: str) -> web.Response:
            return web.Response(status=502, text="no such thing")

        there.provider.answer = silent
        await there.delivery.take([released()])
        await there.until_settled(1)
        await there.pool.execute("UPDATE attempts SET settled_at = now() - interval '70 seconds'")
        page = await scraped(there.metrics)
        assert page("chasqui_attempts_total", "unknown", "provider.http_502") == 1
        assert page("chasqui_attempts_unknown") == 1
        assert 70 <= page("chasqui_unknown_oldest_age_seconds") < 100

        await there.pool.execute("UPDATE attempts SET code = 'unknown.unconfirmed'")
        page = await scraped(there.metrics)
        assert page("chasqui_attempts_unknown") == page("chasqui_unknown_oldest_age_seconds") == 0


async def test_posts_to_tenants_are_counted_by_what_became_of_them(database: Database) -> None:
    async with callbacks_scene.scene(database) as there:
        there.receiver.answers["/ill"] = callbacks_scene.with_status(500)
        there.receiver.answers["/gone"] = callbacks_scene.with_status(410)
        for path in ("/fine", "/ill", "/gone"):
            await there.make(path)
        await there.tell_many(1)

        async def all_three() -> bool:
            page = await scraped(there.metrics)
            return [page("chasqui_callbacks_total", outcome) for outcome in ("delivered", "retried", "failed")] == [1, 1, 1]

        await until(all_three, "each to be posted to once")


async def test_an_update_waits_longer_only_for_those_who_would_take_it(database: Database) -> None:
    """What is due to an address that fails is no sign that posting is slow."""
    async with callbacks_scene.scene(database, works=False) as there:
        fine, ill = (await there.make("/fine"))["id"], (await there.make("/ill"))["id"]
        assert await store.waiting_deliveries(there.pool) == (0, 0.0)
        await there.tell_many(3)
        await there.pool.execute(
            "UPDATE callback_deliveries SET due_at = now() - interval '500 seconds' WHERE callback_id = $1", ill
        )
        await there.pool.execute(
            "UPDATE callback_deliveries SET due_at = now() - interval '50 seconds' WHERE callback_id = $1", fine
        )
        deliveries, due_seconds = await store.waiting_deliveries(there.pool)
        assert deliveries == 6
        assert 500 <= due_seconds < 550

        await there.pool.execute("UPDATE callbacks SET failing_since = now(), failed_at = now() WHERE id = $1", ill)
        assert 50 <= (await store.waiting_deliveries(there.pool)).due_seconds < 100
        assert await store.failing_callbacks(there.pool) == 1

        await there.pool.execute("UPDATE callbacks SET rests_until = now() + interval '1 minute' WHERE id = $1", fine)
        assert (await store.waiting_deliveries(there.pool)).due_seconds == 0


async def test_beyond_the_count_the_database_says_about_how_many_wait(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with callbacks_scene.scene(database, works=False) as there:
        await there.make("/fine")
        await there.tell_many(40)
        owner = await asyncpg.connect(database.admin_url)
        await owner.execute("ANALYZE sender.callback_deliveries")
        await owner.close()
        monkeypatch.setattr(store, "MOST", 10)

        assert (await store.waiting_deliveries(there.pool)).deliveries == 40
