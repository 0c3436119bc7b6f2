"""What a provider can do to us, done by the sandbox."""

from __future__ import annotations

from typing import Any, Final

import aiohttp

from local.welcome import PHONE_NUMBER_ID
from tests.integration.alerts.watching import Watch, assert_fires, assert_quiet, run_sql, total, values

ON: Final = "+1999555"
"""With four more digits a recipient whose conduct they say."""


async def control(watch: Watch, path: str, changes: dict[str, Any]) -> None:
    async with (
        aiohttp.ClientSession(trust_env=False) as session,
        session.patch(f"{watch.assembly.sandbox_url}/control/{path}", json=changes) as answer,
    ):
        assert answer.status == 200, await answer.text()


async def send_many(watch: Watch, count: int, digits: str) -> None:
    batch = [{"to": f"+1999{n:03d}{digits}", "text": {"body": "hello"}} for n in range(count)]
    status, answer = await watch.api.call("POST", "/api/messages/batch", batch)
    assert status == 202, answer


async def test_calls_that_fail_open_the_breaker(watch: Watch) -> None:
    before = await watch.scrape()
    await send_many(watch, 20, "0028")
    after = await watch.until(lambda now: 2.0 in values(now, "chasqui_breaker_state"), "the breaker to be open")
    await assert_fires("ChasquiBreakerOpen", before, after)
    await assert_fires("ChasquiProviderErrors", before, after, code="provider.131016")


async def test_a_dead_token_pauses_the_number(watch: Watch) -> None:
    before = await watch.scrape()
    await control(watch, f"numbers/{PHONE_NUMBER_ID}", {"state": "token_dead"})
    await send_many(watch, 1, "7777")
    after = await watch.until(lambda now: total(now, "chasqui_numbers_paused"), "the number to be paused")
    await assert_fires("ChasquiNumberPaused", before, after)


async def test_a_number_that_a_person_paused_alarms_nobody(watch: Watch) -> None:
    before = await watch.scrape()
    (number,) = (await watch.api.get("/api/numbers"))["data"]
    status, answer = await watch.api.call("POST", f"/api/numbers/{number['id']}/pause", {})
    assert status == 200, answer
    after = await watch.until(lambda now: total(now, "chasqui_numbers_paused"), "the number to be paused")
    await assert_quiet("ChasquiNumberPaused", before, after)


async def test_a_throttled_number_slows_down_and_sends_nothing(watch: Watch) -> None:
    before = await watch.scrape()
    await control(watch, f"numbers/{PHONE_NUMBER_ID}", {"state": "throttled"})
    await send_many(watch, 40, "7777")
    after = await watch.until(
        lambda now: (
            min(values(now, "chasqui_number_rate_share"), default=1) < 0.5 and total(now, "chasqui_messages_released_total") > 7
        ),
        "the number to be slow",
        60,
    )
    await assert_fires("ChasquiNumberSlowed", before, after)
    await assert_fires("ChasquiProviderErrors", before, after, code="provider.130429")
    await assert_fires("ChasquiNothingIsSent", before, after)


async def test_calls_that_break_off_leave_outcomes_unknown(watch: Watch) -> None:
    before = await watch.scrape()
    await send_many(watch, 3, "0026")
    await watch.until(lambda now: total(now, "chasqui_attempts_unknown") == 3, "three attempts to be unknown")
    await run_sql(
        watch.assembly.database.admin_url, "UPDATE sender.attempts SET settled_at = settled_at - interval '10 minutes'"
    )
    after = await watch.until(lambda now: total(now, "chasqui_unknown_oldest_age_seconds") > 300, "them to be old")
    await assert_fires("ChasquiOutcomesUnknown", before, after)


async def test_a_provider_may_be_slow(watch: Watch) -> None:
    before = await watch.scrape()
    await control(watch, "behaviour", {"latency_ms": 3000, "latency_spread": 0})
    await send_many(watch, 5, "7777")
    after = await watch.until(lambda now: total(now, "chasqui_provider_request_duration_seconds_count") == 5, "answers")
    await assert_fires("ChasquiProviderSlow", before, after)


async def test_messages_that_cannot_be_delivered_fail(watch: Watch) -> None:
    before = await watch.scrape()
    await send_many(watch, 5, "0002")
    after = await watch.until(lambda now: total(now, "chasqui_message_statuses_total", status="failed") == 5, "all to fail")
    await assert_fires("ChasquiMessagesFail", before, after)
